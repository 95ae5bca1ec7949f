"""Convolutions 3x3 of stride 1 with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Cut the output into tiles of 4x4 pixels. A tile sees 6x6 pixels d of each channel; as plain sums, 4*4 * 3*3 = 144
multiplications with the weights g make that channel's part of the tile. But a convolution is a product of polynomials,
and a product of polynomials needs one multiplication for each point at which both are known:

      d d d d|d d     A tile and its right neighbour:       V = B' d B      d at 6x6 points, additions mostly
      d y y y|y d d   the outputs y lie side by side,       U = G g G'      g at the same points, once for all tiles
      d y y y|y d d   the pixels d overlap by two           M = U * V       36 multiplications, point by point,
      d y y y|y d d   columns (and rows).                                   summed over the channels
      d y y y|y d d                                         y = A' M A      the 4x4 coefficients wanted: interpolation
      d d d d|d d d

(Winograd 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2015.) With many channels nearly all
the time goes into M, and the sums over the channels are 36 products of matrices, one for each point p:

      M[p][tile, output] = sum over c of V[p][tile, c] * U[p][c, output]

The points of a line are 0, a, -a, b, -b and infinity. So line i of A is (1, p, p**2, p**3) at point p, a line of G the
same up to p**2, divided by the product of p's distances to the other points, and a line of B' has the coefficients of
the polynomial that is zero at all other points. Channels (or outputs) stand side by side in memory, so that each step
of a transform is a loop over neighbours and fills the vectors, however small the image.

Rounding: the lines add numbers of unlike size. With a = 1, b = 2, as in the paper, the error is four times that of the
plain sums. With a = 5/8, b = 3/2 it is one to two and a half times as large, of order eps * sqrt(channels) of the
result (measured and bounded in tests/kernels/test_winograd.py), and A and B are still exact in binary. (How points
matter: Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep neural networks",
2020.) The error goes with the largest pixel of a tile, not only with those that an output sees. And an infinity or a
NaN reaches its whole tile: `convolve` says whether all results are finite; where they are not, the caller computes
again in the plain way.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div, multiply_in_place, panel_height, tile_columns
from .packing cimport SQUARE, pack, transpose
from .scratch cimport give, take
from .threads cimport threads_for

cnp.import_array()

# A transform inlined with constant sizes becomes straight code.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    """

cdef enum:
    LANES = 16               # most channels transformed side by side
    TOGETHER = 16            # channels whose weights are transposed together
    DEPTH = 128              # channels that are summed in one go: U of so many, for one panel, stays in the L2 cache
    OWN = 150000             # numbers of V and M that a thread works on: they stay there, too
    SHARED = 1 << 20         # numbers of U worth keeping: more are made anew for each block of tiles
    TILES = 128              # tiles of such a block
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread


cdef inline void pixels_at_points(const real* d, Py_ssize_t step, real* v) noexcept nogil:
    """A line of B' d: six pixels at six points, for some channels side by side."""
    cdef Py_ssize_t j, n = lanes(d)
    cdef real a = <real>A, b = <real>B, aa = <real>(A * A), bb = <real>(B * B), sum = <real>(A * A + B * B)
    cdef real product = <real>(A * A * B * B), d1, d2, d3, d4, even_a, even_b, odd_a, odd_b
    for j in range(n):
        d1, d2, d3, d4 = d[step + j], d[2 * step + j], d[3 * step + j], d[4 * step + j]
        even_a, odd_a = d4 - bb * d2, a * (d3 - bb * d1)
        even_b, odd_b = d4 - aa * d2, b * (d3 - aa * d1)
        v[j] = d4 - sum * d2 + product * d[j]
        v[n + j] = even_a + odd_a
        v[2 * n + j] = even_a - odd_a
        v[3 * n + j] = even_b + odd_b
        v[4 * n + j] = even_b - odd_b
        v[5 * n + j] = d[5 * step + j] - sum * d3 + product * d1


cdef inline void gradients_at_points(const real* y, Py_ssize_t step, real* m) noexcept nogil:
    """A line of A dy: the gradients of four outputs at six points (winograd_grad.pyx), channels side by side."""
    cdef Py_ssize_t j, n = lanes(y)
    cdef real a = <real>A, b = <real>B, aa = <real>(A * A), bb = <real>(B * B)
    cdef real aaa = <real>(A * A * A), bbb = <real>(B * B * B), y0, y1, y2, y3, even_a, even_b, odd_a, odd_b
    for j in range(n):
        y0, y1, y2, y3 = y[j], y[step + j], y[2 * step + j], y[3 * step + j]
        even_a, odd_a = y0 + aa * y2, a * y1 + aaa * y3
        even_b, odd_b = y0 + bb * y2, b * y1 + bbb * y3
        m[j] = y0
        m[n + j] = even_a + odd_a
        m[2 * n + j] = even_a - odd_a
        m[3 * n + j] = even_b + odd_b
        m[4 * n + j] = even_b - odd_b
        m[5 * n + j] = y3


cdef inline void weights_at_points(const real* g, Py_ssize_t step, real* u) noexcept nogil:
    """A line of G g: three weights at six points, for the outputs of a panel side by side."""
    cdef Py_ssize_t j, nr = tile_columns(g)
    cdef real aa = <real>(A * A), bb = <real>(B * B), at_0 = <real>(1 / (A * A * B * B))
    cdef real at_a = <real>(1 / (2 * A * A * (A * A - B * B))), odd_a = <real>(A / (2 * A * A * (A * A - B * B)))
    cdef real at_b = <real>(1 / (2 * B * B * (B * B - A * A))), odd_b = <real>(B / (2 * B * B * (B * B - A * A)))
    cdef real g0, g1, g2, even_a, even_b
    for j in range(nr):
        g0, g1, g2 = g[j], g[step + j], g[2 * step + j]
        even_a, even_b = at_a * (g0 + aa * g2), at_b * (g0 + bb * g2)
        u[j] = at_0 * g0
        u[nr + j] = even_a + odd_a * g1
        u[2 * nr + j] = even_a - odd_a * g1
        u[3 * nr + j] = even_b + odd_b * g1
        u[4 * nr + j] = even_b - odd_b * g1
        u[5 * nr + j] = g2


cdef inline void outputs_from_points(const real* m, Py_ssize_t step, const real* bias, real* y) noexcept nogil:
    """A line of A' M, and the bias: four outputs from six points, for the outputs of a panel side by side."""
    cdef Py_ssize_t j, nr = tile_columns(m)
    cdef real a = <real>A, b = <real>B, aa = <real>(A * A), bb = <real>(B * B)
    cdef real aaa = <real>(A * A * A), bbb = <real>(B * B * B), even_a, even_b, odd_a, odd_b
    for j in range(nr):
        even_a, odd_a = m[step + j] + m[2 * step + j], m[step + j] - m[2 * step + j]
        even_b, odd_b = m[3 * step + j] + m[4 * step + j], m[3 * step + j] - m[4 * step + j]
        y[j] = m[j] + even_a + even_b + bias[j]
        y[nr + j] = a * odd_a + b * odd_b + bias[j]
        y[2 * nr + j] = aa * even_a + bb * even_b + bias[j]
        y[3 * nr + j] = aaa * odd_a + bbb * odd_b + m[5 * step + j] + bias[j]


cdef inline void spread(const real* line, Py_ssize_t count, Py_ssize_t length, real* to, Py_ssize_t step
                        ) noexcept nogil:
    """to[i * step + j] = line[i, j]. Computed there at once, the places might overlap for all that the compiler
    knows, and it would use no vectors."""
    cdef Py_ssize_t i, j
    for i in range(count):
        for j in range(length):
            to[i * step + j] = line[i * length + j]


cdef void stage(const Tiled* t, Py_ssize_t tile_row, Py_ssize_t channel, Py_ssize_t kept, real* staged) noexcept nogil:
    """The rows of pixels that a row of tiles sees, some channels side by side: staged[row][column][channel].

    So many rows at the top are kept from the row of tiles before: they are the last ones there.
    """
    cdef Py_ssize_t n = lanes(staged), square = SQUARE, count = larger(0, smaller(n, t.channels - channel))
    cdef Py_ssize_t i, j, x, y
    cdef Py_ssize_t width = 4 * t.tiles_w + t.reach - 4, first = smaller(larger(-t.left, 0), width)
    cdef Py_ssize_t last = larger(smaller(t.width - t.left, width), first)
    cdef const real* source
    cdef real* row
    for i in range(kept):
        for j in range(width * n):
            staged[i * width * n + j] = staged[(4 + i) * width * n + j]
    for i in range(kept, t.reach):
        row = staged + i * width * n
        y = tile_row % t.tiles_h * 4 + t.top + i
        if y < 0 or y >= t.height:
            for j in range(width * n):
                row[j] = 0
            continue
        source = <const real*>t.data + t.left \
            + ((tile_row // t.tiles_h * t.channels + channel) * t.height + y) * t.width
        for j in range(first * n):
            row[j] = 0
        for j in range(last * n, width * n):
            row[j] = 0
        x = first
        while x < last:
            if x + square > last and last - first >= square:
                x = last - square                # reach back over pixels that are there already: whole squares are fast
            pack(source + x, t.height * t.width, 1, count, n, smaller(square, last - x), row + x * n)
            x += square


cdef void transform_rows(const Tiled* t, Py_ssize_t tile_row, Py_ssize_t count, Py_ssize_t channel, real* staged,
                         real* v) noexcept nogil:
    """Some rows of tiles at the points, for some channels; v is where the first number of the first tile belongs."""
    cdef Py_ssize_t row, tile, i, n = lanes(staged), shared = t.reach - 4, width = 4 * t.tiles_w + shared
    cdef real lines[POINTS * LANES]
    cdef real column[6 * LANES]
    cdef const real* d
    for row in range(count):
        stage(t, tile_row + row, channel, shared if row > 0 and (tile_row + row) % t.tiles_h else 0, staged)
        for tile in range(t.tiles_w):
            d = staged + tile * 4 * n
            for i in range(t.reach):
                if t.reach == 6:
                    pixels_at_points(d + i * width * n, n, lines + i * 6 * n)
                else:
                    gradients_at_points(d + i * width * n, n, lines + i * 6 * n)
            for i in range(6):
                if t.reach == 6:
                    pixels_at_points(<const real*>lines + i * n, 6 * n, column)
                else:
                    gradients_at_points(<const real*>lines + i * n, 6 * n, column)
                spread(<const real*>column, 6, n, v + i * t.point_step, 6 * t.point_step)
            v += t.tile_step


cdef void transform_weights(const Winograd* s, Py_ssize_t panel, Py_ssize_t cut, real* u) noexcept nogil:
    """U of a panel of outputs, for a block of channels: u[point][channel][output]."""
    cdef Py_ssize_t nr = tile_columns(u), output = panel * nr, count = smaller(nr, s.outputs - output), k, i
    cdef Py_ssize_t first = cut * s.x.channels // s.cuts, last = (cut + 1) * s.x.channels // s.cuts
    cdef real taps[TOGETHER * 9 * COLUMNS]
    cdef real lines[18 * COLUMNS]
    cdef real column[6 * COLUMNS]
    cdef const real* weight = <const real*>s.weight + output * s.weight_output
    cdef const real* g
    for k in range(first, last):
        if s.weight_channel != 9:
            pack(weight + k * s.weight_channel, s.weight_output, 1, count, nr, 9, taps)
            g = taps
        else:                                    # one channel's weights follow the other's: transposed together
            if (k - first) % TOGETHER == 0:
                pack(weight + k * 9, s.weight_output, 1, count, nr, 9 * smaller(TOGETHER, last - k), taps)
            g = taps + (k - first) % TOGETHER * 9 * nr
        for i in range(3):
            if s.flipped:
                weights_at_points(g + (8 - i) * nr, -3 * nr, lines + i * 6 * nr)
            else:
                weights_at_points(g + i * nr, 3 * nr, lines + i * 6 * nr)
        for i in range(6):
            weights_at_points(<const real*>lines + i * nr, 6 * nr, column)
            spread(<const real*>column, 6, nr, u + i * 6 * s.u_step + (k - first) * nr, s.u_step)


cdef void multiply_points(const Winograd* s, const real* v, Py_ssize_t tiles, const real* u, Py_ssize_t cut,
                          const Py_ssize_t* off, real* m) noexcept nogil:
    """m[point][tile][output] of a panel of outputs: the sums over a block of channels, added to those before."""
    cdef Py_ssize_t point, part, first, rows, padded, height = panel_height(tiles, v), nr = tile_columns(v)
    cdef Py_ssize_t channel = cut * s.x.channels // s.cuts, depth = (cut + 1) * s.x.channels // s.cuts - channel
    for point in range(POINTS):
        for part in range(ceil_div(tiles, height)):
            first = part * height
            rows = smaller(height, tiles - first)
            padded = larger(rows, 2)             # a single row is computed twice: the micro-kernel for one is wider
            multiply_in_place(v + point * s.x.point_step + first * s.x.tile_step + channel,
                              s.x.tile_step if rows == padded else 0, 1, u + point * s.u_step, off, depth, padded,
                              m + point * s.m_step + first * nr, nr, cut > 0, <const real*>NULL)


cdef bint finish_rows(const Winograd* s, Py_ssize_t tile_row, Py_ssize_t count, Py_ssize_t panel, const real* m,
                      real* pixels) noexcept nogil:
    """Take some rows of tiles to the result; m is where the first tile is. Returns whether all numbers are finite."""
    cdef Py_ssize_t nr = tile_columns(m), output = panel * nr, outputs = smaller(nr, s.outputs - output)
    cdef Py_ssize_t square = SQUARE, width = 4 * s.x.tiles_w, y, row, tile, i, j, x
    cdef real lines[24 * COLUMNS]
    cdef real column[4 * COLUMNS]
    cdef real checks[4 * COLUMNS]
    cdef real bias[COLUMNS]
    cdef real nothing[COLUMNS]
    cdef real* to
    cdef real check = 0
    for j in range(nr):
        bias[j] = nothing[j] = 0
    for j in range(4 * nr):
        checks[j] = 0
    if s.bias != NULL:
        for j in range(outputs):
            bias[j] = (<const real*>s.bias)[output + j]
    for row in range(tile_row, tile_row + count):
        for tile in range(s.x.tiles_w):
            for i in range(6):
                outputs_from_points(m + i * 6 * s.m_step, s.m_step, <const real*>nothing, lines + i * 4 * nr)
            for i in range(4):
                outputs_from_points(<const real*>lines + i * nr, 4 * nr, <const real*>bias, column)
                for j in range(4 * nr):
                    checks[j] += column[j] * <real>0             # 0, or NaN where a number is not finite
                spread(<const real*>column, 4, nr, pixels + (tile * 4 + i) * nr, width * nr)
            m += nr
        y = row % s.x.tiles_h * 4
        for i in range(smaller(4, s.rows - y)):
            to = <real*>s.result + ((row // s.x.tiles_h * s.outputs + output) * s.rows + y + i) * s.columns
            x = 0
            while x < s.columns:
                if x + square > s.columns and s.columns >= square:
                    x = s.columns - square
                transpose(<const real*>pixels + (i * width + x) * nr, nr, smaller(square, s.columns - x), outputs,
                          s.rows * s.columns, to + x)
                x += square
    for j in range(4 * nr):
        check += checks[j]
    return check == 0


cdef bint finish_tiles(const Winograd* s, Py_ssize_t tile_row, Py_ssize_t count, const real* u, Py_ssize_t size_u,
                       const Py_ssize_t* off, real* v, real* m, real* staged) noexcept nogil:
    """Some rows of tiles from the source to the result, with U of all panels at hand."""
    cdef Py_ssize_t n = lanes(u), group, panel, cut
    cdef bint finite = True
    for group in range(ceil_div(s.x.channels, n)):
        transform_rows(&s.x, tile_row, count, group * n, staged, v + group * n)
    for panel in range(ceil_div(s.outputs, tile_columns(u))):
        for cut in range(s.cuts):
            multiply_points(s, <const real*>v, count * s.x.tiles_w, u + (panel * s.cuts + cut) * size_u, cut, off, m)
        finite &= finish_rows(s, tile_row, count, panel, <const real*>m, staged)
    return finite


cdef bint finish_panel(const Winograd* s, Py_ssize_t panel, Py_ssize_t tile_row, Py_ssize_t count, const real* v,
                       const Py_ssize_t* off, real* u, real* m, real* staged) noexcept nogil:
    """A panel of outputs from the weights to the result, with V of some rows of tiles at hand."""
    cdef Py_ssize_t cut
    for cut in range(s.cuts):
        transform_weights(s, panel, cut, u)
        multiply_points(s, v, count * s.x.tiles_w, <const real*>u, cut, off, m)
    return finish_rows(s, tile_row, count, panel, <const real*>m, staged)


cdef bint suits(const Winograd* s, const real* model) noexcept nogil:
    """Whether this is faster than the plain way: a matter of sizes alone, counted in multiplications."""
    cdef double outputs = ceil_div(s.outputs, tile_columns(model)) * tile_columns(model), channels = s.x.channels
    cdef double lines = ceil_div(s.x.channels, lanes(model)) * lanes(model) + outputs
    cdef double tiles = <double>s.images * ceil_div(s.rows, 4) * ceil_div(s.columns, 4)
    cdef double plain = 9.0 * s.images * s.rows * s.columns * channels * s.outputs
    if s.x.channels > MOST_CHANNELS or s.columns > MOST_COLUMNS:
        return False
    return tiles * (POINTS * channels * outputs + A_LINE * lines) + A_KERNEL * channels * outputs < plain


cdef bint convolve(Winograd* s, const real* model) except -1:
    """Compute the result; False if some of it is not finite, and so may be wrong.

    Either U is small: all of it is made first, then each thread takes rows of tiles. Or U is large, as in the deep
    layers with their few pixels: then V is made first, and each thread takes panels of outputs, whose weights
    it transforms as it needs them, in its cache.
    """
    cdef Py_ssize_t n = lanes(model), nr = tile_columns(model), i, k, start, count
    s.x.reach = 6
    s.x.tiles_h, s.x.tiles_w = ceil_div(s.rows, 4), ceil_div(s.columns, 4)
    s.cuts = ceil_div(s.x.channels, DEPTH)
    s.u_step = odd(ceil_div(s.x.channels, s.cuts) * nr, model)
    s.x.tile_step = odd(s.x.channels, model)
    cdef Py_ssize_t tile_rows = s.images * s.x.tiles_h, panels = ceil_div(s.outputs, nr), block, blocks
    cdef Py_ssize_t groups = ceil_div(s.x.channels, n), size_u = POINTS * s.u_step
    cdef int threads = threads_for(2 * tile_rows * s.x.tiles_w * (POINTS * s.x.channels * s.outputs
                                                                  + A_LINE * (s.x.channels + s.outputs)) // FLOPS)
    cdef bint shared = panels * s.cuts * size_u <= SHARED, finite = True
    if shared:
        block = smaller(ceil_div(tile_rows, threads), OWN // (POINTS * (s.x.tile_step + nr) * s.x.tiles_w))
    else:
        block = smaller(tile_rows, TILES // s.x.tiles_w)
    block = larger(block, 1)
    blocks = ceil_div(tile_rows, block)
    s.x.point_step = odd(block * s.x.tiles_w * s.x.tile_step, model)
    s.m_step = odd((block * s.x.tiles_w + 1) * nr, model)
    cdef Py_ssize_t size_v = POINTS * s.x.point_step, size_m = POINTS * s.m_step
    cdef Py_ssize_t size_staged = larger(6 * (4 * s.x.tiles_w + 2) * n, 16 * s.x.tiles_w * nr)
    cdef Py_ssize_t size_common = panels * s.cuts * size_u if shared else size_v
    cdef Py_ssize_t size_own = size_staged + size_m + (size_v if shared else size_u)
    cdef Py_ssize_t size_table = odd((DEPTH + threads) * (sizeof(Py_ssize_t) // sizeof(float)), model)
    cdef Py_ssize_t* off = <Py_ssize_t*>take((size_table + size_common + threads * size_own) * sizeof(real))
    cdef Py_ssize_t* finite_in = off + DEPTH
    cdef real* common = <real*>off + size_table
    cdef real* staged = common + size_common
    cdef real* m = staged + size_staged
    cdef real* own = m + size_m
    for k in range(DEPTH):
        off[k] = k * nr
    for k in range(threads):
        finite_in[k] = True
    with nogil:
        if shared:
            for i in prange(panels * s.cuts, num_threads=threads, schedule="static"):
                transform_weights(s, i // s.cuts, i % s.cuts, common + i * size_u)
            for i in prange(blocks, num_threads=threads, schedule="dynamic"):
                finite_in[threadid()] &= finish_tiles(
                    s, i * block, smaller(block, tile_rows - i * block), <const real*>common, size_u, off,
                    own + threadid() * size_own, m + threadid() * size_own, staged + threadid() * size_own)
        else:
            for k in range(blocks):
                start = k * block
                count = smaller(block, tile_rows - start)
                for i in prange(groups, num_threads=threads, schedule="dynamic"):
                    transform_rows(&s.x, start, count, i * n, staged + threadid() * size_own, common + i * n)
                for i in prange(panels, num_threads=threads, schedule="dynamic"):
                    finite_in[threadid()] &= finish_panel(
                        s, i, start, count, <const real*>common, off, own + threadid() * size_own,
                        m + threadid() * size_own, staged + threadid() * size_own)
    for k in range(threads):
        finite &= finite_in[k]
    give(off)
    return finite
