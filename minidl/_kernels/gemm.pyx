"""Products of matrices: one micro-kernel, and the packing that feeds it.

    C[i, j] = bias + sum over k of A[i, k] * B[k, j]

The micro-kernel computes a tile of C, MR x NR numbers that stay in registers, while it walks down k. A comes as a
*panel*: MR rows stored k by k, so that it is read front to back. Row k of B starts at ``x + off[k]``: a table of
numbers says where. For a matrix ``off[k] = k * ldb``; conv.pyx puts other numbers there and has a convolution.

             x + off[k] --->  b b b b ... b   NR numbers in a row, wherever they are
                          .-----------------
     panel of A, row k    |  c c c c ... c    c[i, j] += a[k, i] * b[j]
       a[k, 0..MR-1]      |  c c c c ... c
            |             |  c c c c ... c    MR x NR sums in registers
            '---->        |  c c c c ... c

Around it: a large k is cut into blocks of KC, so that a packed block of B (KC x BLOCK columns) stays in the L2 cache;
each panel of A is then read once for the whole block. Packing costs time, too: a matrix that is read only a few times
stays where it is. Every element of C is summed in the same order whatever the number
of threads, because the threads share out elements, never a sum.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport empty, is_real, larger, ready, real, smaller, vector
from .scratch cimport give, take
from .thin cimport multiply_thin
from .threads cimport threads_for

from minidl.errors import DTypeError, ShapeError

cnp.import_array()

# `micro` is written once, for any tile; inlined at each call with constant sizes its loops become straight code.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    """

cdef enum:
    TILES = 8            # tiles of B packed side by side,
    MANY_TILES = 32      # and under so many panels of A that they do not fit the L2 cache: A is then read less often
    GROUP = 42           # panels of A that are used with one tile of B after the other: they fit the L2 cache
    FEW_PANELS = 8       # the same beside MANY_TILES
    A_TILES = 16         # up to so many tiles of columns, A is read where it is: packing would cost more than it saves
    B_PANELS = 6         # up to so many panels of rows, B is
    THIN = 3             # up to so many rows, B is not packed where it lies along k
    WHOLE = 2 * KC       # up to this depth, k is not cut into blocks
    FLOPS = 100          # multiplications and additions a nanosecond, to guess what is worth a thread


cdef inline void micro(const real* a__mk, Py_ssize_t step_i, Py_ssize_t step_k, const real* x, const Py_ssize_t* off,
                       Py_ssize_t depth, real* c__mn, Py_ssize_t ld, bint accumulate, real* c, int rows,
                       int groups) noexcept nogil:
    """c[i, g, j] = sum over k of a[i, k] * x[off[k] + g*NR + j]; `rows` and `groups` are constants at each call.

    `c` is the caller's local array: the compiler keeps it in registers.
    """
    cdef Py_ssize_t nr = tile_columns(a__mk), k
    cdef int i, g, j
    cdef const real* b
    if accumulate:
        for i in range(rows):
            for j in range(groups * nr):
                c[i * groups * nr + j] = c__mn[i * ld + j]
    else:
        for i in range(rows * groups * nr):
            c[i] = 0
    for k in range(depth):
        b = x + off[k]
        for i in range(rows):
            for g in range(groups):
                for j in range(nr):
                    c[(i * groups + g) * nr + j] += a__mk[i * step_i + k * step_k] * b[g * nr + j]
    for i in range(rows):
        for j in range(groups * nr):
            c__mn[i * ld + j] = c[i * groups * nr + j]


cdef inline void choose(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, bint packed, const real* x,
                        const Py_ssize_t* off, Py_ssize_t depth, Py_ssize_t rows, real* c, Py_ssize_t ld,
                        bint accumulate) noexcept nogil:
    """The micro-kernel for so many rows: NR columns, WIDE * NR for a single row. Steps of a packed panel: 1, rows."""
    cdef Py_ssize_t most = tile_rows(a)          # a constant: branches beyond it cost nothing
    cdef real sums[TILE]                         # one for all: GCC 12 mixes up the arrays of several inlined copies
    if rows == 1:
        micro(a, step_i, 1 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 1, WIDE)
    elif rows == 2:
        micro(a, step_i, 2 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 2, 1)
    elif rows == 3 and most >= 3:
        micro(a, step_i, 3 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 3, 1)
    elif rows == 4 and most >= 4:
        micro(a, step_i, 4 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 4, 1)
    elif rows == 5 and most >= 5:
        micro(a, step_i, 5 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 5, 1)
    elif rows == 6 and most >= 6:
        micro(a, step_i, 6 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 6, 1)
    elif rows == 7 and most >= 7:
        micro(a, step_i, 7 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 7, 1)
    elif rows == 8 and most >= 8:
        micro(a, step_i, 8 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 8, 1)
    elif rows == 9 and most >= 9:
        micro(a, step_i, 9 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 9, 1)
    elif rows == 10 and most >= 10:
        micro(a, step_i, 10 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 10, 1)
    elif rows == 11 and most >= 11:
        micro(a, step_i, 11 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 11, 1)
    elif rows == 12 and most >= 12:
        micro(a, step_i, 12 if packed else step_k, x, off, depth, c, ld, accumulate, sums, 12, 1)


cdef void multiply_tile(const real* a, const real* x, const Py_ssize_t* off, Py_ssize_t depth, Py_ssize_t rows,
                        real* c, Py_ssize_t ld, bint accumulate) noexcept nogil:
    """The micro-kernel for a packed panel. `ld`: from row to row of c."""
    choose(a, 1, 0, True, x, off, depth, rows, c, ld, accumulate)


cdef void multiply_in_place(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, const real* x, const Py_ssize_t* off,
                            Py_ssize_t depth, Py_ssize_t rows, real* c, Py_ssize_t ld, bint accumulate) noexcept nogil:
    """The micro-kernel for rows of A where they lie: each in a stream of its own, good for a few tiles of columns."""
    choose(a, step_i, step_k, False, x, off, depth, rows, c, ld, accumulate)


cdef void transpose(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                    real* to__ki) noexcept nogil:
    """to[k, i] = a[i, k] for at most SQUARE rows i."""
    if count == SQUARE:
        transpose_rows(a__ik, step, SQUARE, depth, width, to__ki)        # loops of known length, in registers
    else:
        transpose_rows(a__ik, step, count, depth, width, to__ki)


cdef inline void transpose_rows(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                                real* to__ki) noexcept nogil:
    """Square by square, as cards are shuffled.

    Cut SQUARE * SQUARE numbers in two halves and interleave them: element 0, first of the second half, 1, ... Each
    such perfect shuffle turns the digits of the position (row, column) by one bit; log2(SQUARE) of them exchange
    row and column. A shuffle is a plain loop that the compiler makes vector instructions of.
    """
    cdef real cards[SQUARE * SQUARE]
    cdef real other[SQUARE * SQUARE]
    cdef const real* done
    cdef Py_ssize_t k, i, j, square
    if SQUARE == 16:
        done = cards
    else:
        done = other
    for square in range(depth // SQUARE):
        k = square * SQUARE
        for i in range(count):
            for j in range(SQUARE):
                cards[i * SQUARE + j] = a__ik[i * step + k + j]
        shuffle(cards, other)
        shuffle(other, cards)
        shuffle(cards, other)
        if SQUARE == 16:
            shuffle(other, cards)
        for j in range(SQUARE):
            for i in range(count):
                to__ki[(k + j) * width + i] = done[j * SQUARE + i]
    for k in range(depth // SQUARE * SQUARE, depth):
        for i in range(count):
            to__ki[k * width + i] = a__ik[i * step + k]


cdef inline void shuffle(const real* cards, real* shuffled) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(SQUARE * SQUARE // 2):
        shuffled[2 * i] = cards[i]
        shuffled[2 * i + 1] = cards[SQUARE * SQUARE // 2 + i]


cdef void pack(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, Py_ssize_t count, Py_ssize_t width,
               Py_ssize_t depth, real* packed__ki) noexcept nogil:
    """packed[k, i] = a[i, k]: a panel of A or a tile of B, k by k, filled up with zeros to its width."""
    cdef Py_ssize_t i, k, nr = tile_columns(a)
    cdef const real* row
    cdef real* to
    if step_i == 1 and count == nr and width == nr:
        for k in range(depth):
            row = a + k * step_k
            to = packed__ki + k * nr
            for i in range(nr):
                to[i] = row[i]
        return
    if step_k == 1:
        for k in range(ceil_div(count, SQUARE)):
            i = k * SQUARE
            transpose(a + i * step_i, step_i, smaller(SQUARE, count - i), depth, width, packed__ki + i)
    else:
        for k in range(depth):
            for i in range(count):
                packed__ki[k * width + i] = a[i * step_i + k * step_k]
    for i in range(count, width):
        for k in range(depth):
            packed__ki[k * width + i] = 0


cdef void copy(Py_ssize_t rows, Py_ssize_t columns, const real* source, Py_ssize_t source_i, Py_ssize_t source_j,
               real* to, Py_ssize_t to_i, Py_ssize_t to_j) noexcept nogil:
    """to[i, j] = source[i, j], with any steps (a step of 0 repeats)."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        if source_j == 1 and to_j == 1:
            for j in range(columns):
                to[i * to_i + j] = source[i * source_i + j]
        else:
            for j in range(columns):
                to[i * to_i + j * to_j] = source[i * source_i + j * source_j]


cdef void multiply_block(Plan* p, Py_ssize_t n, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t j0, Py_ssize_t j1,
                         const real* panels, real* tiles, real* c_tile) noexcept nogil:
    """Panels p0..p1 and columns j0..j1 of product n; `panels` is all of A, `tiles` room for a block of B."""
    cdef const real* a = <const real*>p.a.data + p.a.start[n]
    cdef const real* b = <const real*>p.b.data + p.b.start[n]
    cdef const real* x
    cdef real* c = <real*>p.c.data + p.c.start[n]
    cdef real* to
    cdef real* sums
    cdef const Py_ssize_t* off
    cdef Py_ssize_t k, kc, depth, i, j, j_rest, group, panel, tile, rows, padded, columns, ld, width = p.width
    cdef Py_ssize_t first_tile = j0 // width, last_tile = ceil_div(j1, width)
    cdef bint whole
    for kc in range(ceil_div(p.depth, p.block) if p.depth else 1):
        k = kc * p.block
        depth = smaller(p.block, p.depth - k)
        for tile in range(first_tile, last_tile):
            j = tile * width
            columns = smaller(width, j1 - j)
            if not p.in_place or columns < width:
                pack(b + k * p.b.step_i + j * p.b.step_j, p.b.step_j, p.b.step_i, columns, width, depth,
                     tiles + (j - j0) * p.block)
        for group in range(p0 // p.group, ceil_div(p1, p.group)):
            for tile in range(first_tile, last_tile):
                j = tile * width
                columns = smaller(width, j1 - j)
                if p.in_place and columns == width:
                    x = b + k * p.b.step_i + j
                    off = p.off_in_place
                else:
                    x = tiles + (j - j0) * p.block
                    off = p.off_packed
                for panel in range(group * p.group, smaller((group + 1) * p.group, p1)):
                    if panel < p0:
                        continue
                    i = panel * p.height
                    rows = smaller(p.height, p.rows - i)
                    padded = padded_height(rows, p.height)
                    to = c + i * p.c.step_i + j * p.c.step_j
                    # A whole tile is computed where it belongs; others on a scrap of paper first.
                    whole = p.c.step_j == 1 and columns == width and padded == rows
                    sums = to if whole else c_tile
                    ld = p.c.step_i if whole else width
                    if not whole and (k > 0 or p.bias != NULL):     # no numbers left from before: denormals are slow
                        for j_rest in range(padded * width):
                            c_tile[j_rest] = 0
                    if k > 0 and not whole:
                        copy(rows, columns, to, p.c.step_i, p.c.step_j, sums, ld, 1)
                    elif k == 0 and p.bias != NULL:
                        copy(rows, columns, <const real*>p.bias + i * p.bias_i + j * p.bias_j, p.bias_i, p.bias_j,
                             sums, ld, 1)
                    if p.a_in_place:
                        multiply_in_place(a + i * p.a.step_i + k * p.a.step_j, p.a.step_i if rows == padded else 0,
                                          p.a.step_j, x, off, depth, padded, sums, ld, k > 0 or p.bias != NULL)
                    else:
                        multiply_tile(panels + i * p.depth + k * padded, x, off, depth, padded, sums, ld,
                                      k > 0 or p.bias != NULL)
                    if not whole:
                        copy(rows, columns, sums, ld, 1, to, p.c.step_i, p.c.step_j)


cdef Py_ssize_t effort(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth, Py_ssize_t step, const real* _) noexcept:
    """What it costs to make `columns` the direction of the vectors: whole tiles, and scattered stores if step > 1."""
    cdef Py_ssize_t nr = tile_columns(_)
    cdef Py_ssize_t work = (2 * rows + (3 if rows < 4 else 0)) * ceil_div(columns, nr) * nr * (depth + 8)
    return work if step == 1 else work + 32 * rows * columns


cdef void multiply(Plan* p, Py_ssize_t count, const real* model) except *:
    """Run a plan in which a, b, c, bias and the sizes are set, for a stack of `count` products."""
    if count * p.rows * p.columns == 0:
        return
    # Arrays that repeat themselves by strides of 0 have any size. Refused before a number below could overflow.
    if <double>count * p.depth * larger(p.rows + p.columns, p.rows * p.columns // 4096) > LARGEST:
        raise MemoryError(f"{count} products of ({p.rows}, {p.depth}) and ({p.depth}, {p.columns}) are too large")
    if count == 1 and p.rows <= THIN and p.columns > 1 and p.a.step_j == 1 and p.b.step_i == 1 and p.depth >= 32:
        multiply_thin(p.rows, p.columns, p.depth, <const real*>p.a.data + p.a.start[0], p.a.step_i,
                      <const real*>p.b.data + p.b.start[0], p.b.step_j, <const real*>p.bias, p.bias_i, p.bias_j,
                      <real*>p.c.data + p.c.start[0], p.c.step_i, p.c.step_j)
        return
    if effort(p.columns, p.rows, p.depth, p.c.step_i, model) < effort(p.rows, p.columns, p.depth, p.c.step_j, model):
        p.a, p.b = p.b, p.a                    # C' = B' A'
        p.a.step_i, p.a.step_j = p.a.step_j, p.a.step_i
        p.b.step_i, p.b.step_j = p.b.step_j, p.b.step_i
        p.c.step_i, p.c.step_j = p.c.step_j, p.c.step_i
        p.bias_i, p.bias_j = p.bias_j, p.bias_i
        p.rows, p.columns = p.columns, p.rows
    cdef Py_ssize_t nr = tile_columns(model), panels, k, tiles, blocks, parts
    cdef int threads
    p.height = panel_height(p.rows, model)
    p.width = nr * WIDE if p.height == 1 else nr
    panels = ceil_div(p.rows, p.height)
    p.in_place = p.b.step_j == 1 and (panels <= B_PANELS or p.b.step_i == p.width or p.depth * p.b.step_i <= 4096)
    p.a_in_place = ceil_div(p.columns, p.width) <= A_TILES
    p.block = p.depth if p.depth <= WHOLE else KC
    p.group = GROUP if panels <= GROUP else FEW_PANELS
    for k in range(p.block):
        p.off_packed[k] = k * p.width
        p.off_in_place[k] = k * p.b.step_i
    # One item of work is a block of columns of one product, and only some rows where there are too few columns.
    threads = threads_for(2 * p.rows * p.columns * p.depth * count // FLOPS)
    tiles = ceil_div(p.columns, p.width)
    tiles = smaller(TILES if panels <= GROUP else MANY_TILES, ceil_div(tiles, ceil_div(threads, count)))
    blocks = ceil_div(p.columns, p.width * tiles)
    parts = smaller(panels, ceil_div(threads, count * blocks))
    run(p, count, tiles, parts, threads, model)


cdef void run(Plan* p, Py_ssize_t count, Py_ssize_t tiles, Py_ssize_t parts, int threads, const real* _) except *:
    """Pack A, then share the products out among the threads in blocks of so many tiles, and parts of the rows."""
    cdef Py_ssize_t blocks = ceil_div(p.columns, p.width * tiles)
    cdef Py_ssize_t panels = ceil_div(p.rows, p.height), n, item, block, part, j0, j1
    cdef Py_ssize_t size_a = (p.rows + 1) * p.depth, size_b = p.block * p.width * tiles
    cdef Py_ssize_t distinct = 0 if p.a_in_place else 1
    for n in range(distinct, count * distinct):
        if p.a.start[n] != p.a.start[0]:
            distinct = count
            break
    cdef real* packed = <real*>take((distinct * size_a + threads * (size_b + TILE)) * sizeof(real))
    cdef real* own = packed + distinct * size_a
    with nogil:
        for item in prange(distinct * panels, num_threads=threads, schedule="static"):
            pack_a(p, item // panels, item % panels * p.height, packed + item // panels * size_a)
        for item in prange(count * blocks * parts, num_threads=threads, schedule="dynamic"):
            n = item // (blocks * parts)
            block = item // parts % blocks
            part = item % parts
            j0 = block * p.width * tiles
            j1 = smaller(j0 + p.width * tiles, p.columns)
            multiply_block(p, n, part * panels // parts, (part + 1) * panels // parts, j0, j1,
                           packed + (n if distinct > 1 else 0) * size_a, own + threadid() * (size_b + TILE),
                           own + threadid() * (size_b + TILE) + size_b)
    give(packed)


cdef void pack_a(Plan* p, Py_ssize_t n, Py_ssize_t i, real* packed) noexcept nogil:
    """The panel of A that starts at row i."""
    cdef Py_ssize_t rows = smaller(p.height, p.rows - i)
    pack(<const real*>p.a.data + p.a.start[n] + i * p.a.step_i, p.a.step_i, p.a.step_j, rows,
         padded_height(rows, p.height), p.depth, packed + i * p.depth)


cdef cnp.ndarray steady(object x):
    """x itself if it can be read in place (native, aligned, whole steps), else a copy that can."""
    cdef cnp.ndarray array = <cnp.ndarray>x
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array)
    cdef int axis
    if not cnp.PyArray_ISALIGNED(array) or cnp.PyArray_ISBYTESWAPPED(array):
        return ready(array, cnp.PyArray_TYPE(array))
    for axis in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_STRIDE(array, axis) % size:
            return ready(array, cnp.PyArray_TYPE(array))
    return array


cdef Py_ssize_t step(cnp.ndarray x, int axis) noexcept:
    """Elements from one to the next along an axis; an axis of length 1 leads nowhere."""
    return cnp.PyArray_STRIDE(x, axis) // cnp.PyArray_ITEMSIZE(x) if cnp.PyArray_DIM(x, axis) > 1 else 1


cdef void check_alike(object a, object b, str where) except *:
    if not is_real(a) or not is_real(b) or cnp.PyArray_TYPE(<cnp.ndarray>a) != cnp.PyArray_TYPE(<cnp.ndarray>b):
        raise DTypeError(where, expected="two float32 or two float64 arrays",
                         actual=f"{getattr(a, 'dtype', type(a).__name__)} and {getattr(b, 'dtype', type(b).__name__)}",
                         hint="convert one of them with .astype()")


def matmul(a, b):
    """Products of two stacks of matrices, as numpy.matmul: (..., M, K) @ (..., K, N), broadcast, any strides."""
    check_alike(a, b, "matmul")
    cdef cnp.ndarray a__mk = steady(a), b__kn = steady(b), c__mn
    cdef int dims_a = cnp.PyArray_NDIM(a__mk), dims_b = cnp.PyArray_NDIM(b__kn), dims = larger(dims_a, dims_b), axis
    if dims_a < 2 or dims_b < 2 or cnp.PyArray_DIM(a__mk, dims_a - 1) != cnp.PyArray_DIM(b__kn, dims_b - 2):
        raise ShapeError("matmul", expected="(..., M, K) and (..., K, N) with the same K",
                         actual=f"{a.shape} and {b.shape}", hint="transpose one of them, or check the layer's size")
    cdef cnp.npy_intp shape[64]
    cdef Py_ssize_t stack_a[64]
    cdef Py_ssize_t stack_b[64]
    cdef Py_ssize_t count = 1, size_a, size_b, n
    for axis in range(dims - 2):
        size_a = cnp.PyArray_DIM(a__mk, axis - dims + dims_a) if axis >= dims - dims_a else 1
        size_b = cnp.PyArray_DIM(b__kn, axis - dims + dims_b) if axis >= dims - dims_b else 1
        if size_a != size_b and size_a != 1 and size_b != 1:
            raise ShapeError("matmul", expected="leading axes that broadcast", actual=f"{a.shape} and {b.shape}",
                             hint="each leading pair must be equal, or one of them 1")
        stack_a[axis] = step(a__mk, axis - dims + dims_a) if size_a > 1 else 0
        stack_b[axis] = step(b__kn, axis - dims + dims_b) if size_b > 1 else 0
        shape[axis] = size_b if size_a == 1 else size_a
        count *= shape[axis]
    cdef Plan plan
    plan.rows = shape[dims - 2] = cnp.PyArray_DIM(a__mk, dims_a - 2)
    plan.columns = shape[dims - 1] = cnp.PyArray_DIM(b__kn, dims_b - 1)
    plan.depth = cnp.PyArray_DIM(a__mk, dims_a - 1)
    c__mn = empty(dims, shape, cnp.PyArray_TYPE(a__mk))
    if count * plan.rows * plan.columns == 0:
        return c__mn
    # Where each product of the stack starts: an odometer over the leading axes.
    cdef Py_ssize_t* starts = <Py_ssize_t*>take(3 * count * sizeof(Py_ssize_t))
    cdef Py_ssize_t rest, digit
    for n in range(count):
        starts[n] = starts[count + n] = 0
        starts[2 * count + n] = n * plan.rows * plan.columns
        rest = n
        for axis in range(dims - 3, -1, -1):
            digit = rest % shape[axis]
            rest //= shape[axis]
            starts[n] += digit * stack_a[axis]
            starts[count + n] += digit * stack_b[axis]
    plan.a = Matrix(cnp.PyArray_DATA(a__mk), starts, step(a__mk, dims_a - 2), step(a__mk, dims_a - 1))
    plan.b = Matrix(cnp.PyArray_DATA(b__kn), starts + count, step(b__kn, dims_b - 2), step(b__kn, dims_b - 1))
    plan.c = Matrix(cnp.PyArray_DATA(c__mn), starts + 2 * count, plan.columns, 1)
    plan.bias = NULL
    plan.bias_i = plan.bias_j = 0
    try:
        if cnp.PyArray_TYPE(a__mk) == cnp.NPY_FLOAT:
            multiply(&plan, count, <const float*>NULL)
        else:
            multiply(&plan, count, <const double*>NULL)
    finally:
        give(starts)
    return c__mn


def linear(x, weight, bias):
    """y[m, o] = sum over k of x[m, k] * weight[o, k], plus bias[o]: (M, K), (O, K), (O,) or None -> (M, O)."""
    check_alike(x, weight, "linear")
    cdef cnp.ndarray x__mk = steady(x), weight__ok = steady(weight), bias__o = None, y__mo
    if cnp.PyArray_NDIM(x__mk) != 2 or cnp.PyArray_NDIM(weight__ok) != 2 \
            or cnp.PyArray_DIM(x__mk, 1) != cnp.PyArray_DIM(weight__ok, 1):
        raise ShapeError("linear", expected="x (M, K) and weight (O, K) with the same K",
                         actual=f"{x.shape} and {weight.shape}", hint="flatten x, or check in_features")
    if bias is not None:
        bias__o = vector(bias, weight__ok, cnp.PyArray_DIM(weight__ok, 0), "linear")
    cdef cnp.npy_intp shape[2]
    cdef Py_ssize_t zero = 0
    cdef Plan plan
    plan.rows = shape[0] = cnp.PyArray_DIM(x__mk, 0)
    plan.columns = shape[1] = cnp.PyArray_DIM(weight__ok, 0)
    plan.depth = cnp.PyArray_DIM(x__mk, 1)
    y__mo = empty(2, shape, cnp.PyArray_TYPE(x__mk))
    plan.a = Matrix(cnp.PyArray_DATA(x__mk), &zero, step(x__mk, 0), step(x__mk, 1))
    plan.b = Matrix(cnp.PyArray_DATA(weight__ok), &zero, step(weight__ok, 1), step(weight__ok, 0))
    plan.c = Matrix(cnp.PyArray_DATA(y__mo), &zero, plan.columns, 1)
    plan.bias = NULL if bias is None else cnp.PyArray_DATA(bias__o)
    plan.bias_i, plan.bias_j = 0, 1
    if cnp.PyArray_TYPE(x__mk) == cnp.NPY_FLOAT:
        multiply(&plan, 1, <const float*>NULL)
    else:
        multiply(&plan, 1, <const double*>NULL)
    return y__mo


def tile_shape():
    """Rows and columns of the micro-kernel's tile in float32."""
    return MR_FLOAT, NR_FLOAT


def exercise_tile(Py_ssize_t repeat, Py_ssize_t rows):
    """Run the micro-kernel on numbers in the L1 cache; returns the multiplications and additions done."""
    cdef Py_ssize_t off[64]
    cdef float a[64 * MR_FLOAT]
    cdef float b[64 * NR_FLOAT]
    cdef float c[TILE]
    cdef Py_ssize_t i
    if not 1 < rows <= MR_FLOAT:
        raise ValueError(f"a tile has 2 to {MR_FLOAT} rows, not {rows}")
    for i in range(64 * NR_FLOAT):
        b[i] = 1
    for i in range(64 * MR_FLOAT):
        a[i] = 1
    for i in range(64):
        off[i] = i * NR_FLOAT
    with nogil:
        for i in range(repeat):
            multiply_tile(<const float*>a, <const float*>b, off, 64, rows, c, NR_FLOAT, i > 0)
    return 2 * 64 * rows * NR_FLOAT * repeat


def exercise_chain(Py_ssize_t steps):
    """Run multiply-adds that wait for each other, a clock of the processor; returns how many."""
    cdef Py_ssize_t i
    cdef volatile float start = 1, factor = 0.5, term = 0.5
    cdef float x = start, by = factor, plus = term
    with nogil:
        for i in range(steps):
            x = x * by + plus
    start = x
    return steps
