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


cdef extern from *:
    """
    #if defined(__AVX512F__)
    enum { LANES_FLOAT = 16, LANES_DOUBLE = 8 };
    #else
    enum { LANES_FLOAT = 8, LANES_DOUBLE = 4 };
    #endif
    #define MINIDL_A 0.625
    #define MINIDL_B 1.5
    """
    enum:
        LANES_FLOAT
        LANES_DOUBLE
    const double A "MINIDL_A"                    # the points are 0, A, -A, B, -B and infinity
    const double B "MINIDL_B"

cdef enum:
    POINTS = 36              # of a tile
    COLUMNS = 32             # most outputs of a panel: the columns of a tile of the micro-kernel
    A_LINE = 600             # multiplications that the transforms of a tile take the time of, for a channel or output,
    A_KERNEL = 256           # and those of a kernel (measured)
    MOST_CHANNELS = 4096     # beyond these sizes the working memory would grow large
    MOST_COLUMNS = 1024


cdef inline Py_ssize_t lanes(const real* _) noexcept nogil:
    return LANES_FLOAT if real is float else LANES_DOUBLE


cdef inline Py_ssize_t odd(Py_ssize_t numbers, const real* _) noexcept nogil:
    """Rounded up to an odd number of vectors: at powers of two, what is used together would share a few lines of the
    cache, each number driving out the next."""
    return ((numbers + lanes(_) - 1) // lanes(_) | 1) * lanes(_)


cdef void transform_rows(const Tiled* t, Py_ssize_t tile_row, Py_ssize_t count, Py_ssize_t channel, real* staged,
                         real* v) noexcept nogil
cdef bint suits(const Winograd* s, const real* model) noexcept nogil
cdef bint convolve(Winograd* s, const real* model) except -1
