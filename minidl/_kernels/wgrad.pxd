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
    Py_ssize_t blocks                 # of channels
    Py_ssize_t slab_images, slab_rows # pixels summed in one go: some whole images, or some rows of one
    Py_ssize_t chunks                 # items that share out the slabs; their sums are added at the end, in order
    # set by `correlate`: how x is read, where it lies or from a copy with zeros around
    bint staged
    Py_ssize_t x_image, x_plane, x_width
    # set by `correlate`: the tiles
    Py_ssize_t lanes, panel           # outputs of a tile, rows of a panel
    Py_ssize_t ld                     # outputs, filled up to whole tiles


cdef void correlate(Correlation* s, const real* model) except *
