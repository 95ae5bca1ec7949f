"""The weight gradient of a 3x3 convolution in Winograd's way: the adjoint of winograd.pyx, step by step.

There, a tile of outputs is y = A' [(G g G') * (B' d B)] A, linear in the weights g. So what comes back to them is

      dg = G' [ sum over the tiles of (A dy A') * (B' d B) ] G

The 4x4 pixels of dy go to the 36 points by A, the 6x6 pixels of x by B' as before, and the sums over the tiles are
again 36 products of matrices, channels and outputs side by side:

      dU[p][output, channel] = sum over t of dM[p][t, output] * V[p][t, channel]                      p = 0 .. 35

Few weights: the tiles are cut into a few chunks, a number that the sizes alone decide. A thread transforms and sums a
chunk by itself, in dU of its own, and the chunks are added in order: threads share nothing until the end.
Many weights: one chunk. Both transforms of a block of tiles are made first; then the threads share out parts of dU, so
that each of its sums runs over the tiles in order.
At the end a part goes back from the points to the nine weights.
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
    TRANSFORMED = 1 << 21    # numbers at the points in a block of tiles of each chunk: they stay in the L3 cache,
    TILES = 128              # but so many tiles are needed to make it worth while
    PANELS = 3               # of outputs in a part: the sums of a part stay in the L2 cache
    CHUNKS = 4               # most chunks, and
    SUMS = 5 << 18           # most numbers of dU in all of them
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


cdef real* sums_of(const WinogradGrad* s, Py_ssize_t chunk, Py_ssize_t part, real* sums) noexcept nogil:
    return sums + (chunk * s.parts + part) * POINTS * s.sum_step


cdef Py_ssize_t size_staged(const WinogradGrad* s, const real* model) noexcept nogil:
    """Numbers that `transform_rows` stages: six rows of pixels of some channels."""
    return 6 * (4 * s.x.tiles_w + 2) * lanes(model)


cdef Py_ssize_t first_output(const WinogradGrad* s, Py_ssize_t part) noexcept nogil:
    return part // s.columns * s.outputs


cdef bint finish(const WinogradGrad* s, Py_ssize_t part, const real* sums) noexcept nogil:
    cdef Py_ssize_t output = first_output(s, part)
    return finish_part(s, output, smaller(s.outputs, s.grad.channels - output), part % s.columns * tile_columns(sums), sums)


cdef bint finish_chunks(const WinogradGrad* s, Py_ssize_t part, real* sums) noexcept nogil:
    """Add a part of the chunks, in order, and take it to the weights."""
    cdef real* total = sums_of(s, 0, part, sums)
    cdef const real* more
    cdef Py_ssize_t chunk, i
    for chunk in range(1, s.chunks):
        more = sums_of(s, chunk, part, sums)
        for i in range(POINTS * s.sum_step):
            total[i] += more[i]
    return finish(s, part, <const real*>total)


cdef bint correlate_chunk(const WinogradGrad* s, Py_ssize_t chunk, int threads, const Py_ssize_t* off, real* v,
                          real* gradients, real* staged, real* sums) noexcept nogil:
    """The sums of a chunk of the rows of tiles. If it is the only one, the result; then whether that is finite."""
    cdef Py_ssize_t n = lanes(v), nr = tile_columns(v), end = (chunk + 1) * s.tile_rows // s.chunks, start, count, i, output
    cdef Py_ssize_t first = chunk * s.tile_rows // s.chunks, size_own = size_staged(s, <const real*>v)
    cdef bint last
    cdef int infinite = 0
    cdef real* own
    start = first
    while start < end:
        count = smaller(s.rows, end - start)
        last = start + count == end and s.chunks == 1
        # Shared out in fixed halves: so a thread finds in its cache what it wrote there.
        for i in prange(s.columns * nr // n, num_threads=threads, schedule="static"):
            transform_rows(&s.x, start, count, i * n, staged + threadid() * size_own, v + i * n)
        for i in prange(ceil_div(s.grad.channels, n), num_threads=threads, schedule="static"):
            transform_rows(&s.grad, start, count, i * n, staged + threadid() * size_own, gradients + i * n)
        for i in prange(s.parts, num_threads=threads, schedule="static"):
            output = first_output(s, i)
            own = sums_of(s, 0, i if s.kept else threadid(), sums)
            multiply_part(s, output, smaller(s.outputs, s.grad.channels - output), i % s.columns * nr,
                          <const real*>gradients, <const real*>v, count * s.x.tiles_w, off, start > first, own)
            if last:
                infinite += not finish(s, i, <const real*>own)
        start = start + count
    return infinite == 0


cdef bint correlate_tiles(WinogradGrad* s, const real* model) except -1:
    """Compute the result; False if some of it is not finite, and so may be wrong."""
    cdef Py_ssize_t nr = tile_columns(model), i, k, sums_in_all
    s.x.reach, s.grad.reach = 6, 4
    s.x.tiles_h = s.grad.tiles_h = ceil_div(s.grad.height, 4)
    s.x.tiles_w = s.grad.tiles_w = ceil_div(s.grad.width, 4)
    s.tile_rows, s.columns = s.images * s.x.tiles_h, ceil_div(s.x.channels, nr)
    s.x.tile_step, s.grad.tile_step = odd(s.columns * nr, model), odd(s.grad.channels, model)
    cdef Py_ssize_t work = POINTS * s.x.channels * s.grad.channels + A_LINE * (s.x.channels + s.grad.channels)
    cdef int threads = threads_for(2 * s.tile_rows * s.x.tiles_w * work // FLOPS)
    s.chunks, sums_in_all = 1, POINTS * s.columns * nr * s.grad.channels
    while s.chunks < CHUNKS and 2 * s.chunks * sums_in_all <= SUMS and s.tile_rows * s.x.tiles_w >= 2 * s.chunks * TILES \
            and 2 * s.chunks <= s.tile_rows:
        s.chunks *= 2
    cdef int workers = <int>smaller(threads, s.chunks), inside = threads if s.chunks == 1 else 1
    cdef Py_ssize_t tiles = larger(TILES, TRANSFORMED // (POINTS * (s.x.tile_step + s.grad.tile_step) * s.chunks))
    cdef Py_ssize_t most = ceil_div(s.tile_rows, s.chunks)           # rows of tiles in a chunk
    cdef Py_ssize_t blocks = ceil_div(most, smaller(most, larger(1, tiles // s.x.tiles_w)))
    s.rows = ceil_div(most, blocks)
    # Panels of equal height, an even number of them, so that two threads have the same to do.
    cdef Py_ssize_t panels = ceil_div(ceil_div(s.grad.channels, tile_rows(model)), 2) * 2
    s.height = ceil_div(s.grad.channels, panels)
    panels = ceil_div(s.grad.channels, s.height)
    s.panels = larger(1, smaller(PANELS, panels * s.columns // (2 * inside)))
    s.parts, s.outputs = ceil_div(panels, s.panels) * s.columns, s.panels * s.height
    s.x.point_step = odd(s.rows * s.x.tiles_w * s.x.tile_step, model)
    s.grad.point_step = odd(s.rows * s.x.tiles_w * s.grad.tile_step, model)
    s.sum_step = odd((s.outputs + 1) * nr, model)
    s.kept = blocks > 1 or s.chunks > 1          # else a part is finished with the only block, and its sums are not kept
    cdef Py_ssize_t size_v = POINTS * s.x.point_step, size_grad = POINTS * s.grad.point_step
    cdef Py_ssize_t size_own = size_v + size_grad + inside * size_staged(s, model)
    cdef Py_ssize_t size_sums = (s.chunks * s.parts if s.kept else threads) * POINTS * s.sum_step
    cdef Py_ssize_t size_table = odd(s.rows * s.x.tiles_w * (sizeof(Py_ssize_t) // sizeof(float)), model)
    cdef Py_ssize_t* off = <Py_ssize_t*>take((size_table + workers * size_own + size_sums) * sizeof(real))
    cdef real* sums = <real*>off + size_table
    cdef real* all_own = sums + size_sums
    cdef real* own
    cdef int infinite = 0
    for k in range(s.rows * s.x.tiles_w):
        off[k] = k * s.x.tile_step
    with nogil:
        for i in prange(s.chunks, num_threads=workers, schedule="dynamic"):
            own = all_own + threadid() * size_own
            infinite += not correlate_chunk(s, i, inside, off, own, own + size_v, own + size_v + size_grad,
                                            sums_of(s, i, 0, sums))
        if s.chunks > 1:
            for i in prange(s.parts, num_threads=threads, schedule="static"):
                infinite += not finish_chunks(s, i, sums)
    give(off)
    return infinite == 0
