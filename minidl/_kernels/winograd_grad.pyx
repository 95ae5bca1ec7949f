"""The weight gradient of a 3x3 convolution in Winograd's way: the adjoint of winograd.pyx, step by step.

There, a tile of outputs is y = A' [(G g G') * (B' d B)] A, linear in the weights g. So what comes back to them is

      dg = G' [ sum over the tiles of (A dy A') * (B' d B) ] G

The 4x4 pixels of dy go to the 36 points by A, the 6x6 pixels of x by B' as before, and the sums over the tiles are
again 36 products of matrices, channels and outputs side by side:

      dU[p][output, channel] = sum over t of dM[p][t, output] * V[p][t, channel]                      p = 0 .. 35

Both transforms of a block of tiles are made first; then the threads share out parts of dU, so that each of its sums
runs over the tiles in order. With the last block a part goes back from the points to the nine weights.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div, multiply_in_place, tile_columns, tile_rows
from .packing cimport pack
from .scratch cimport give, take
from .threads cimport threads_for
from .winograd cimport (A, A_KERNEL, A_LINE, B, COLUMNS, MOST_CHANNELS, MOST_COLUMNS, POINTS, lanes, odd,
                        transform_rows)

cnp.import_array()

cdef enum:
    TRANSFORMED = 1 << 21    # numbers at the points in a block of tiles: they stay in the L3 cache,
    TILES = 128              # but so many tiles are needed to make it worth while
    PANELS = 3               # of outputs in a part: the sums of a part stay in the L2 cache
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread


cdef inline void weights_from_points(const real* u, Py_ssize_t step, real* g) noexcept nogil:
    """A line of G' dU: three weights from six points, for some channels side by side."""
    cdef Py_ssize_t j, nr = tile_columns(u)
    cdef real a = <real>A, b = <real>B, aa = <real>(A * A), bb = <real>(B * B), at_0 = <real>(1 / (A * A * B * B))
    cdef real at_a = <real>(1 / (2 * A * A * (A * A - B * B))), at_b = <real>(1 / (2 * B * B * (B * B - A * A)))
    cdef real even_a, even_b, odd_a, odd_b
    for j in range(nr):
        even_a, odd_a = at_a * (u[step + j] + u[2 * step + j]), at_a * (u[step + j] - u[2 * step + j])
        even_b, odd_b = at_b * (u[3 * step + j] + u[4 * step + j]), at_b * (u[3 * step + j] - u[4 * step + j])
        g[j] = at_0 * u[j] + even_a + even_b
        g[nr + j] = a * odd_a + b * odd_b
        g[2 * nr + j] = aa * even_a + bb * even_b + u[5 * step + j]


cdef void multiply_part(const WinogradGrad* s, Py_ssize_t output, Py_ssize_t outputs, Py_ssize_t channel,
                        const real* gradients, const real* v, Py_ssize_t tiles, const Py_ssize_t* off, bint accumulate,
                        real* sums) noexcept nogil:
    """sums[point][output][channel] += the products of a block of tiles, for one part of the result."""
    cdef Py_ssize_t point, panel, first, rows, padded
    for point in range(POINTS):
        for panel in range(ceil_div(outputs, s.height)):
            first = panel * s.height
            rows = smaller(s.height, outputs - first)
            padded = larger(rows, 2)             # a single row is computed twice: the micro-kernel for one is wider
            multiply_in_place(gradients + point * s.grad.point_step + output + first, 1 if rows == padded else 0,
                              s.grad.tile_step, v + point * s.x.point_step + channel, off, tiles, padded,
                              sums + point * s.sum_step + first * tile_columns(v), tile_columns(v), accumulate,
                              <const real*>NULL)


cdef bint finish_part(const WinogradGrad* s, Py_ssize_t output, Py_ssize_t outputs, Py_ssize_t channel, const real* sums
                      ) noexcept nogil:
    """Take a part from the points to the weights. Returns whether all numbers are finite."""
    cdef Py_ssize_t nr = tile_columns(sums), channels = smaller(nr, s.x.channels - channel), o, i, j
    cdef real lines[18 * COLUMNS]
    cdef real taps[9 * COLUMNS]
    cdef real checks[9 * COLUMNS]
    cdef real check = 0
    for j in range(9 * nr):
        checks[j] = 0
    for o in range(outputs):
        for i in range(6):
            weights_from_points(sums + i * 6 * s.sum_step + o * nr, s.sum_step, lines + i * 3 * nr)
        for i in range(3):                       # column i of the weights; taps[i][row]
            weights_from_points(<const real*>lines + i * nr, 3 * nr, taps + i * 3 * nr)
        for j in range(9 * nr):
            checks[j] += taps[j] * <real>0       # 0, or NaN where a number is not finite
        for i in range(3):
            for j in range(3 * nr):
                lines[(j // nr * 3 + i) * nr + j % nr] = taps[i * 3 * nr + j]
        pack(<const real*>lines, nr, 1, 9, 9, channels,
             <real*>s.result + ((output + o) * s.x.channels + channel) * 9)
    for j in range(9 * nr):
        check += checks[j]
    return check == 0


cdef bint suits_tiles(const WinogradGrad* s, const real* model) noexcept nogil:
    """Whether this is faster than the plain way: a matter of sizes alone, counted in multiplications."""
    cdef double channels = ceil_div(s.x.channels, tile_columns(model)) * tile_columns(model)
    cdef double outputs = ceil_div(s.grad.channels, lanes(model)) * lanes(model)
    cdef double tiles = <double>s.images * ceil_div(s.grad.height, 4) * ceil_div(s.grad.width, 4)
    cdef double plain = 9.0 * s.images * s.grad.height * s.grad.width * s.x.channels * s.grad.channels
    if s.x.channels > MOST_CHANNELS or s.grad.channels > MOST_CHANNELS or s.grad.width > MOST_COLUMNS:
        return False
    return tiles * (POINTS * channels * outputs + A_LINE * (channels + outputs)) + A_KERNEL * channels * outputs < plain


cdef bint correlate_tiles(WinogradGrad* s, const real* model) except -1:
    """Compute the result; False if some of it is not finite, and so may be wrong."""
    cdef Py_ssize_t n = lanes(model), nr = tile_columns(model), i, k, block, start, count, output, channel
    s.x.reach, s.grad.reach = 6, 4
    s.x.tiles_h = s.grad.tiles_h = ceil_div(s.grad.height, 4)
    s.x.tiles_w = s.grad.tiles_w = ceil_div(s.grad.width, 4)
    cdef Py_ssize_t tile_rows_ = s.images * s.x.tiles_h, columns = ceil_div(s.x.channels, nr)
    s.x.tile_step, s.grad.tile_step = odd(columns * nr, model), odd(s.grad.channels, model)
    cdef Py_ssize_t tiles = larger(TILES, TRANSFORMED // (POINTS * (s.x.tile_step + s.grad.tile_step)))
    cdef Py_ssize_t blocks = ceil_div(tile_rows_, smaller(tile_rows_, larger(1, tiles // s.x.tiles_w)))
    cdef Py_ssize_t rows = ceil_div(tile_rows_, blocks)
    cdef Py_ssize_t work = POINTS * s.x.channels * s.grad.channels + A_LINE * (s.x.channels + s.grad.channels)
    cdef int threads = threads_for(2 * tile_rows_ * s.x.tiles_w * work // FLOPS)
    # Panels of equal height, an even number of them, so that two threads have the same to do.
    cdef Py_ssize_t panels = ceil_div(ceil_div(s.grad.channels, tile_rows(model)), 2) * 2
    s.height = ceil_div(s.grad.channels, panels)
    panels = ceil_div(s.grad.channels, s.height)
    s.panels = larger(1, smaller(PANELS, panels * columns // (2 * threads)))
    cdef Py_ssize_t parts = ceil_div(panels, s.panels) * columns, outputs = s.panels * s.height
    cdef Py_ssize_t groups_x = columns * nr // n, groups = groups_x + ceil_div(s.grad.channels, n)
    s.x.point_step = odd(rows * s.x.tiles_w * s.x.tile_step, model)
    s.grad.point_step = odd(rows * s.x.tiles_w * s.grad.tile_step, model)
    s.sum_step = odd((outputs + 1) * nr, model)
    cdef Py_ssize_t size_v = POINTS * s.x.point_step, size_grad = POINTS * s.grad.point_step
    cdef Py_ssize_t size_staged = 6 * (4 * s.x.tiles_w + 2) * n, size_sums = POINTS * s.sum_step
    # Sums that are finished with the first block need not be kept.
    cdef Py_ssize_t kept = parts if blocks > 1 else threads
    cdef Py_ssize_t size_table = odd((rows * s.x.tiles_w + threads) * (sizeof(Py_ssize_t) // sizeof(float)), model)
    cdef Py_ssize_t* off = <Py_ssize_t*>take(
        (size_table + size_v + size_grad + threads * size_staged + kept * size_sums) * sizeof(real))
    cdef Py_ssize_t* finite_in = off + rows * s.x.tiles_w
    cdef real* v = <real*>off + size_table
    cdef real* gradients = v + size_v
    cdef real* staged = gradients + size_grad
    cdef real* all_sums = staged + threads * size_staged
    cdef real* sums
    cdef bint finite = True
    for k in range(rows * s.x.tiles_w):
        off[k] = k * s.x.tile_step
    for k in range(threads):
        finite_in[k] = True
    with nogil:
        for block in range(blocks):
            start = block * rows
            count = smaller(rows, tile_rows_ - start)
            # Shared out in fixed halves: so a thread finds in its cache what it wrote there.
            for i in prange(groups_x, num_threads=threads, schedule="static"):
                transform_rows(&s.x, start, count, i * n, staged + threadid() * size_staged, v + i * n)
            for i in prange(groups - groups_x, num_threads=threads, schedule="static"):
                transform_rows(&s.grad, start, count, i * n, staged + threadid() * size_staged, gradients + i * n)
            for i in prange(parts, num_threads=threads, schedule="static"):
                output, channel = i // columns * outputs, i % columns * nr
                sums = all_sums + (i if blocks > 1 else threadid()) * size_sums
                multiply_part(s, output, smaller(outputs, s.grad.channels - output), channel, <const real*>gradients,
                              <const real*>v, count * s.x.tiles_w, off, block > 0, sums)
                if block == blocks - 1:
                    finite_in[threadid()] &= finish_part(s, output, smaller(outputs, s.grad.channels - output), channel,
                                                         <const real*>sums)
    for k in range(threads):
        finite &= finite_in[k]
    give(off)
    return finite
