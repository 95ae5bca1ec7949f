# The input gradient of a convolution that shrinks small images.

from .arrays cimport real


cdef struct Fold:
    Py_ssize_t images, groups
    const void* grad                  # (images, groups * outputs, grad_h, grad_w)
    Py_ssize_t outputs, grad_h, grad_w
    const void* weight                # (groups * outputs, channels, kernel_h, kernel_w)
    Py_ssize_t channels, kernel_h, kernel_w
    Py_ssize_t dilation_h, dilation_w
    void* result                      # (images, groups * channels, height, width)
    Py_ssize_t height, width


cdef bint suits_fold(const Fold* s) noexcept
cdef void fold(Fold* s, const real* model) except *
