# Working memory of the kernels: taken with the GIL held, kept and handed out again, so that a page is faulted in once.

cdef void* take(size_t bytes) except NULL
cdef void give(void* block) noexcept
