# Convolutions 3x3 of stride 1 by Winograd's minimal filtering.

from .arrays cimport real


cdef struct Tiled:
    # Images seen through tiles: tile (t, u) begins at pixel (top + 4t, left + 4u) and sees reach x reach pixels.
    const void* data                  # (images, channels, height, width)
    Py_ssize_t channels, height, width
    Py_ssize_t top, left, reach
    Py_ssize_t tiles_h, tiles_w       # of an image
    # set by `convolve`: where V[point][tile][channel] is, point * point_step + tile * tile_step + channel
    Py_ssize_t point_step, tile_step


cdef struct Winograd:
    Tiled x
    Py_ssize_t images
    void* result                      # (images, outputs, rows, columns)
    Py_ssize_t outputs, rows, columns
    const void* bias                  # or NULL
    const void* weight                # the 3x3 numbers of (output, channel) are at the sum of two offsets,
    Py_ssize_t weight_output, weight_channel
    bint flipped                      # turned by half a turn
    # set by `convolve`
    Py_ssize_t cuts                   # blocks that the channels are summed in
    Py_ssize_t u_step, m_step         # from point to point


cdef bint suits(const Winograd* s, const real* model) noexcept nogil
cdef bint convolve(Winograd* s, const real* model) except -1
