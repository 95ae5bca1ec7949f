"""The number of threads of the kernels of one variant."""

cdef extern from *:
    """
    #ifdef _OPENMP
    #define MINIDL_OPENMP 1
    #else
    #define MINIDL_OPENMP 0
    #endif
    """
    const bint MINIDL_OPENMP

cdef int limit = 1

openmp = MINIDL_OPENMP  # whether this build can use more than one thread


def get_limit():
    return limit


def set_limit(int threads):
    global limit
    limit = threads if MINIDL_OPENMP else 1
