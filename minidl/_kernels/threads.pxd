# How many threads a kernel may use. Every kernel module shares the one variable `limit`.

cdef int limit


cdef inline int threads_for(Py_ssize_t work) noexcept nogil:
    """Threads worth waking for `work` nanoseconds of one core: each gets at least 10 microseconds."""
    cdef Py_ssize_t useful = work // 10000
    if useful < 1:
        return 1
    return limit if useful > limit else <int>useful
