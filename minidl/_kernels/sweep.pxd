# A dense correlation swept over staged planes: what conv2d and its input gradient have in common.

from .arrays cimport real


cdef struct Tap:
    Py_ssize_t plane                  # remainders of its row and column: row % step_h * step_w + column % step_w
    Py_ssize_t shift_h, shift_w       # how far from the place of the output pixel
    Py_ssize_t weight                 # where its weight is in the kernel of a channel


cdef struct Phase:
    # Output pixels that see the same taps. conv2d has one phase; the gradient of a strided one has a phase for each
    # remainder of (row, column) divided by the stride.
    Tap* taps
    Py_ssize_t tap_count
    Py_ssize_t rows, columns          # how many such output pixels there are
    Py_ssize_t start                  # where the first one is in an output plane
    # set by `sweep`
    Py_ssize_t depth                  # terms in each sum: source channels x taps
    Py_ssize_t* off                   # where each term is, counted from the output pixel's place in the staged planes
    Py_ssize_t* weight_off            # where its weight is
    void* panels                      # the weights, packed: groups x panels


cdef struct Sweep:
    Py_ssize_t images, groups
    # source: (images, groups * channels, height, width)
    const void* source
    Py_ssize_t channels, height, width
    # staged: plane (a, b) of a channel holds the pixels (top + a + step_h * t, left + b + step_w * u)
    Py_ssize_t top, left, step_h, step_w
    Py_ssize_t reach_h, reach_w       # rows and columns that the taps see beyond an output pixel (0 if there are copies)
    # result: (images, groups * outputs, plane), output pixel (t, u) at start + t * row_step + u * column_step
    void* result
    Py_ssize_t outputs, plane, row_step, column_step
    const void* bias
    # the weight of (group, output, channel, tap) is at the sum of four offsets
    const void* weight
    Py_ssize_t weight_group, weight_output, weight_channel
    Phase* phases
    Py_ssize_t phase_count
    Py_ssize_t rows, columns          # most of any phase
    # set by `sweep`: what the sums of each output begin with, the cut into items, and how a tile gets its pixels
    void* starts
    Py_ssize_t item_images, item_rows
    Py_ssize_t staged_rows, staged_width, staged_plane, staged_image
    Py_ssize_t panel, tile, sum_rows, ld
    Py_ssize_t copies, planes         # of each row, one for every column of a window, or 0; staged planes of a channel
    bint packed
    bint direct                       # tiles are summed in the result itself
    bint plain                        # rows are copied into the planes as they are
    bint bare                         # the source itself can be swept over, without a staged copy


cdef struct Segment:
    # A run of pixels of a tile that are neighbours.
    Py_ssize_t first, length         # columns of the tile
    Py_ssize_t source                # where its first pixel is in the staged planes
    Py_ssize_t result                # where it belongs in the result of a sweep


cdef void pack_pixels(const real* planes, const Py_ssize_t* off, Py_ssize_t depth, const Segment* segments,
                      Py_ssize_t count, real* packed) noexcept nogil
cdef void sweep(Sweep* s, const real* model) except *
