"""The input gradient where images are small and not padded: first down the columns of the kernel, then along its rows.

    part[c, j, y, x] = sum over o, i of w[o, c, i, j] * dy[o, y - i, x]         dx[c, y, x] = sum over j of part[c, j, y, x - j]

sweep.pyx asks for every pixel of dx which dy saw it, and multiplies the zeros around dy as well. Where the kernel is
large against the image those are most: 5x5 on 12x12 pixels sees 8x8 pixels of dy and 16x16 - 8x8 zeros. Here zeros
stand only above and below dy, and a tile that sees nothing but zeros in some rows of the kernel leaves those out; the
price is a second pass, over the parts:

      dy      w         part 0          part 1           dx
      0 0
      p q     1 2       1p     1q       2p     2q        1p       1q + 2p             2q
      r s     3 4       1r+3p  1s+3q    2r+4p  2s+4q     1r+3p    1s+3q + 2r+4p    2s+4q
      0 0               3r     3s       4r     4s        3r       3s + 4r             4s

Small images stand side by side, row by row, until a row is as long as a tile (or the threads would lack work): a tile of
one row leaves out most.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid
from libc.string cimport memcpy, memset

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div, multiply_tile, padded_height, panel_height, tile_columns
from .packing cimport PIECE, copy_rows
from .scratch cimport give, take
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread
    ITEMS = 4                # items to cut the work into,
    ITEM = 20000             # if each has so many nanoseconds of it
    MOST = 1 << 17           # numbers in the planes and parts of an item: they fit the L2 cache


cdef void add_rows(const real* source, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t length, real* to, Py_ssize_t to_step
                   ) noexcept nogil:
    """Add rows that are `step` apart to others that are `to_step` apart; pieces as in `copy_piece`."""
    cdef Py_ssize_t row, piece, j
    cdef real sums[PIECE]
    for row in range(rows):
        for piece in range(length // PIECE):
            memcpy(sums, to + piece * PIECE, PIECE * sizeof(real))
            for j in range(PIECE):
                sums[j] += source[piece * PIECE + j]
            memcpy(to + piece * PIECE, sums, PIECE * sizeof(real))
        for j in range(length // PIECE * PIECE, length):
            to[j] += source[j]
        source += step
        to += to_step


cdef void pack_panel(const Fold* s, Py_ssize_t group, Py_ssize_t first, Py_ssize_t height, real* panel__kr) noexcept nogil:
    """The weights for rows (c, j) of the parts from `first` on, term (i, o) by term."""
    cdef Py_ssize_t taps = s.kernel_h * s.kernel_w, count = smaller(height, s.channels * s.kernel_w - first), r, i, o
    cdef Py_ssize_t padded = padded_height(count, height)
    cdef const real* weight
    for r in range(padded):
        weight = <const real*>s.weight + group * s.outputs * s.channels * taps \
            + (first + r) // s.kernel_w * taps + (first + r) % s.kernel_w
        for i in range(s.kernel_h):
            for o in range(s.outputs):
                panel__kr[(i * s.outputs + o) * padded + r] = weight[o * s.channels * taps + i * s.kernel_w] if r < count else 0


cdef void fold_item(const Fold* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, Py_ssize_t pitch,
                    const real* panels, const Py_ssize_t* off, Py_ssize_t ld, real* dy, real* parts) noexcept nogil:
    """Some images of a group, side by side in rows of `pitch` pixels; dy: room for a plane for each output, parts:
    (channels * kernel_w, ld)."""
    cdef Py_ssize_t nr = tile_columns(dy), rows = s.channels * s.kernel_w, depth = s.outputs * s.kernel_h, o, n, r, c, j, panel
    cdef Py_ssize_t height = panel_height(rows, dy), above = s.height - s.grad_h, plane = above * pitch + ld, tile, first, last
    cdef const real* source
    cdef real* to
    memset(dy, 0, s.outputs * plane * sizeof(real))
    for o in range(s.outputs):
        for n in range(images):
            source = <const real*>s.grad + (((image + n) * s.groups + group) * s.outputs + o) * s.grad_h * s.grad_w
            copy_rows(source, s.grad_w, s.grad_h, s.grad_w, dy + o * plane + above * pitch + n * s.grad_w, pitch)
    for tile in range(ceil_div(s.height * pitch, nr)):
        # Rows first..last of the kernel see more than zeros; none of them does below the last window.
        first = ceil_div(larger(tile * nr // pitch - s.grad_h + 1, 0), s.dilation_h)
        last = larger(smaller((tile * nr + nr - 1) // pitch // s.dilation_h + 1, s.kernel_h), first)
        for panel in range(ceil_div(rows, height)):
            r = panel * height
            c = padded_height(smaller(height, rows - r), height)
            multiply_tile(panels + r * depth + first * s.outputs * c, <const real*>dy + tile * nr, off + first * s.outputs,
                          (last - first) * s.outputs, c, parts + r * ld + tile * nr, ld, False, <const real*>NULL)
    for n in range(images):
        for c in range(s.channels):
            to = <real*>s.result + (((image + n) * s.groups + group) * s.channels + c) * s.height * s.width
            source = parts + c * s.kernel_w * ld + n * s.grad_w
            copy_rows(source, pitch, s.height, s.grad_w, to, s.width)
            for r in range(s.height):
                for j in range(s.grad_w, s.width):
                    to[r * s.width + j] = 0
            for j in range(1, s.kernel_w):
                add_rows(source + j * ld, pitch, s.height, s.grad_w, to + j * s.dilation_w, s.width)


cdef inline Py_ssize_t numbers_of(const Fold* s) noexcept:
    return (s.channels * s.kernel_w + s.outputs) * s.height * s.grad_w


cdef bint suits_fold(const Fold* s) noexcept:
    """Whether there is a second pass at all, and its numbers stay in the cache."""
    return s.kernel_w > 1 and numbers_of(s) <= MOST


cdef void fold(Fold* s, const real* model) except *:
    """Compute the result, for a stride of one and no padding. The caller has filled in s."""
    cdef Py_ssize_t nr = tile_columns(model), rows = s.channels * s.kernel_w, depth = s.outputs * s.kernel_h
    cdef Py_ssize_t most = MOST // numbers_of(s), wanted = smaller(ceil_div(nr, s.grad_w), most)
    cdef Py_ssize_t work = 2 * s.images * s.groups * s.height * s.grad_w * rows * depth // FLOPS
    # By the sizes alone, never by the number of threads: as many images as make a tile, unless that leaves few items.
    cdef Py_ssize_t slabs = larger((s.images + wanted // 2) // wanted, ceil_div(s.images, most))
    slabs = larger(slabs, smaller(smaller(ceil_div(ITEMS, s.groups), work // ITEM), s.images))
    cdef Py_ssize_t together = ceil_div(s.images, slabs)
    slabs = ceil_div(s.images, together)
    cdef Py_ssize_t pitch = together * s.grad_w, above = (s.height - s.grad_h) * pitch
    cdef Py_ssize_t ld = ceil_div(s.height * pitch, nr) * nr
    cdef Py_ssize_t height = panel_height(rows, model), panels = ceil_div(rows, height), item, i, o
    cdef Py_ssize_t size_weights = (rows + 1) * depth, size_dy = s.outputs * (above + ld)
    cdef Py_ssize_t size_own = size_dy + (rows + 1) * ld
    cdef int threads = threads_for(work)
    cdef Py_ssize_t* off = <Py_ssize_t*>take(depth * sizeof(Py_ssize_t))
    cdef real* numbers
    try:
        numbers = <real*>take((s.groups * size_weights + threads * size_own) * sizeof(real))
    except MemoryError:
        give(off)
        raise
    cdef real* own = numbers + s.groups * size_weights
    for i in range(s.kernel_h):
        for o in range(s.outputs):
            off[i * s.outputs + o] = o * (above + ld) + above - i * s.dilation_h * pitch
    with nogil:
        for item in prange(s.groups * panels, num_threads=threads_for(s.groups * size_weights), schedule="static"):
            pack_panel(s, item // panels, item % panels * height, height,
                       numbers + item // panels * size_weights + item % panels * height * depth)
        for item in prange(s.groups * slabs, num_threads=threads, schedule="dynamic"):
            fold_item(s, item // slabs, item % slabs * together, smaller(together, s.images - item % slabs * together), pitch,
                      <const real*>numbers + item // slabs * size_weights, off, ld, own + threadid() * size_own,
                      own + threadid() * size_own + size_dy)
    give(numbers)
    give(off)
