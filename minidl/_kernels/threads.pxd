# How many threads a kernel may use. Every kernel module shares the one variable `limit`.

# GCC's OpenMP makes a team even of one thread, system call included: 0.7 microseconds, more than relu takes for a small
# layer. So the linker (see setup.py) leads every parallel region through here, and one thread simply goes on.
cdef extern from *:
    """
    #ifdef MINIDL_WRAPS_GOMP
    #include <omp.h>
    void __real_GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
    __attribute__((visibility("hidden")))
    void __wrap_GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags) {
        if (threads == 1 && !omp_in_parallel()) body(data);
        else __real_GOMP_parallel(body, data, threads, flags);
    }
    #endif
    """

cdef int limit


cdef inline int threads_for(Py_ssize_t work) noexcept nogil:
    """Threads worth waking for `work` nanoseconds of one core: each gets at least 10 microseconds."""
    cdef Py_ssize_t useful = work // 10000
    if useful < 1:
        return 1
    return limit if useful > limit else <int>useful
