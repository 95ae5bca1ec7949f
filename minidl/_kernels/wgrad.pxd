# The weight gradient of a convolution.

from .arrays cimport real


cdef struct Correlation:
    Py_ssize_t images, groups
    const void* grad                  # (images, groups * outputs, grad_h, grad_w)
    Py_ssize_t outputs, grad_h, grad_w
    const void* source                # (images, groups * channels, height, width)
    Py_ssize_t channels, height, width
    void* result                      # (groups * outputs, channels, kernel_h, kernel_w)
    Py_ssize_t kernel_h, kernel_w
    Py_ssize_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w
    # set by `correlate`: the cut into items
    Py_ssize_t block                  # channels of an item
    Py_ssize_t slab_images, slab_rows # pixels summed in one go: some whole images, or some rows of one
    Py_ssize_t chunks                 # items that share out the slabs; their sums are added at the end, in order
    Py_ssize_t staged_rows, staged_width
    # set by `correlate`: the columns of the sums. Run r begins at column r * run_columns and at runs[r] in the planes.
    Py_ssize_t run, run_count, run_columns
    Py_ssize_t tiles, panel
    bint packed


cdef void correlate(Correlation* s, const real* model) except *
