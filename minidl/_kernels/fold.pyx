"""The input gradient where images are small and not padded: a product of matrices, and its rows added where they belong.

    columns[tap, p] = sum over o of w[o, tap] * dy[o, p]              dx[c, p shifted by tap] += columns[(c, tap), p]

sweep.pyx asks for every pixel of dx which dy saw it, and multiplies the zeros around dy as well. Where the kernel is
large against the image those are most: 5x5 on 12x12 pixels sees 8x8 pixels of dy and 16x16 - 8x8 zeros. Here each
pixel of dy is multiplied once by each weight; the price is a second pass over the products:

      dy       w          columns (tap by tap)         dx
      p q      1 2        1p 1q   2p 2q                1p    1q+2p       2q
      r s      3 4        1r 1s   2r 2s        --->    1r+3p 1s+2r+3q+4p 2s+4q
                          3p 3q   4p 4q                3r    3s+4r       4s
                          3r 3s   4r 4s

The columns of one channel at a time are computed, so that they are still in the L1 cache when they are added.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div, multiply_tile, padded_height, panel_height, tile_columns
from .packing cimport pack
from .scratch cimport give, take
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread
    PIXELS = 128             # pixels of dy multiplied in one go, or one image
    FOLDING = 6              # adding a product where it belongs takes the time of so many multiplications (measured)
    PIECE = 8                # numbers added at a time: a loop of known length is one instruction or two


cdef inline void add_runs(const real* source, Py_ssize_t step, Py_ssize_t count, Py_ssize_t length, real* to
                          ) noexcept nogil:
    """to[j] += source[j] + source[step + j] + ..., so many terms."""
    cdef Py_ssize_t piece, i, j
    cdef real total
    cdef real sums[PIECE]
    for piece in range(length // PIECE):
        for j in range(PIECE):
            sums[j] = to[piece * PIECE + j]
        for i in range(count):
            for j in range(PIECE):
                sums[j] += source[i * step + piece * PIECE + j]
        for j in range(PIECE):
            to[piece * PIECE + j] = sums[j]
    for j in range(length // PIECE * PIECE, length):
        total = to[j]
        for i in range(count):
            total += source[i * step + j]
        to[j] = total


cdef void fold_channel(const Fold* s, const real* columns__tp, Py_ssize_t ld, real* dx__hw) noexcept nogil:
    """Add the columns of a channel of an image where its taps saw them: one column of the kernel after the other."""
    cdef Py_ssize_t i, j, x, y, first, last, low, high
    for i in range(s.height * s.width):
        dx__hw[i] = 0
    for j in range(s.kernel_w):
        x = j * s.dilation_w - s.pad_w                   # where the first pixel belongs; first..last are in the image
        first = smaller(larger(-x, 0), s.grad_w)
        last = larger(smaller(s.width - x, s.grad_w), first)
        for y in range(s.height):                        # rows low..high of the kernel saw this one
            low = ceil_div(larger(y + s.pad_h - s.grad_h + 1, 0), s.dilation_h)
            high = smaller((y + s.pad_h) // s.dilation_h, s.kernel_h - 1)
            if low <= high:
                add_runs(columns__tp + (low * s.kernel_w + j) * ld + (y + s.pad_h - low * s.dilation_h) * s.grad_w + first,
                         s.kernel_w * ld - s.dilation_h * s.grad_w, high - low + 1, last - first,
                         dx__hw + y * s.width + x + first)


cdef void fold_item(const Fold* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, const real* panels,
                    const Py_ssize_t* off, Py_ssize_t ld, real* dy, real* columns) noexcept nogil:
    """Some images of a group; dy: room for (outputs, ld) numbers."""
    cdef Py_ssize_t nr = tile_columns(dy), pixels = s.grad_h * s.grad_w, taps = s.kernel_h * s.kernel_w
    cdef Py_ssize_t height = panel_height(taps, dy), o, n, j, c, tile, panel, i, rows
    cdef const real* source
    for o in range(s.outputs):
        for n in range(images):
            source = <const real*>s.grad + (((image + n) * s.groups + group) * s.outputs + o) * pixels
            for j in range(pixels):
                dy[o * ld + n * pixels + j] = source[j]
        for j in range(images * pixels, ld):
            dy[o * ld + j] = 0
    for c in range(s.channels):
        for tile in range(ceil_div(images * pixels, nr)):
            for panel in range(ceil_div(taps, height)):
                i = panel * height
                rows = padded_height(smaller(height, taps - i), height)
                multiply_tile(panels + (c * (taps + 1) + i) * s.outputs, <const real*>dy + tile * nr, off, s.outputs, rows,
                              columns + i * ld + tile * nr, ld, False, <const real*>NULL)
        for n in range(images):
            fold_channel(s, <const real*>columns + n * pixels, ld, <real*>s.result
                         + (((image + n) * s.groups + group) * s.channels + c) * s.height * s.width)


cdef bint suits_fold(const Fold* s) noexcept:
    """Whether the zeros around dy would cost more than the second pass."""
    return s.kernel_h * s.kernel_w > 1 \
        and s.grad_h * s.grad_w * (s.outputs + FOLDING) < s.height * s.width * s.outputs


cdef void fold(Fold* s, const real* model) except *:
    """Compute the result, for a stride of one. The caller has filled in s."""
    cdef Py_ssize_t nr = tile_columns(model), pixels = s.grad_h * s.grad_w, taps = s.kernel_h * s.kernel_w
    cdef Py_ssize_t together = smaller(larger(PIXELS // pixels, 1), s.images), slabs = ceil_div(s.images, together)
    cdef Py_ssize_t ld = ceil_div(together * pixels, nr) * nr, height = panel_height(taps, model), panels, item, o, i, c
    cdef Py_ssize_t size_weights = s.channels * (taps + 1) * s.outputs, size_dy = s.outputs * ld
    cdef Py_ssize_t size_own = size_dy + (taps + 1) * ld
    cdef int threads = threads_for(2 * s.images * pixels * s.groups * s.outputs * s.channels * taps // FLOPS)
    cdef Py_ssize_t* off = <Py_ssize_t*>take(s.outputs * sizeof(Py_ssize_t))
    cdef real* numbers
    try:
        numbers = <real*>take((s.groups * size_weights + threads * size_own) * sizeof(real))
    except MemoryError:
        give(off)
        raise
    cdef real* own = numbers + s.groups * size_weights
    for o in range(s.outputs):
        off[o] = o * ld
    panels = ceil_div(taps, height)
    with nogil:
        for item in prange(s.groups * s.channels, num_threads=threads, schedule="static"):
            for c in range(panels):
                i = c * height
                pack(<const real*>s.weight + (item // s.channels * s.outputs * s.channels + item % s.channels) * taps + i, 1,
                     s.channels * taps, smaller(height, taps - i), padded_height(smaller(height, taps - i), height),
                     s.outputs, numbers + (item * (taps + 1) + i) * s.outputs)
        for item in prange(s.groups * slabs, num_threads=threads, schedule="dynamic"):
            fold_item(s, item // slabs, item % slabs * together, smaller(together, s.images - item % slabs * together),
                      <const real*>numbers + item // slabs * size_weights, off, ld, own + threadid() * size_own,
                      own + threadid() * size_own + size_dy)
    give(numbers)
    give(off)
