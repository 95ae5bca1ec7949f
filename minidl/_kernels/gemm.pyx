"""Products of matrices: how a product is cut so that the micro-kernel always reads from a cache.

    C[i, j] = bias + sum over k of A[i, k] * B[k, j]

micro.pyx computes one tile of C; packing.pyx puts A and B in the order in which it reads. Here are the loops around:

    for each block of columns of C            shared out among the threads, TILES tiles wide at most
        for each block of k, KC deep at most  so that the packed block of B stays in the L2 cache
            pack the block of B
            for each group of panels of A     so that they stay in the L2 cache, too
                for each tile of B            read from there, front to back
                    for each panel of A       packed once, before, for all threads
                        the micro-kernel

Packing costs time, too: a matrix that is read only a few times stays where it is. Every element of C is summed in the
same order whatever the number of threads, because the threads share out elements, never a sum.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport empty, is_real, larger, ready, real, smaller, vector
from .micro cimport (
    TILE, WIDE, ceil_div, multiply_in_place, multiply_tile, padded_height, panel_height, tile_columns,
)
from .packing cimport copy, pack
from .reduction cimport sum_kept
from .scratch cimport give, take
from .thin cimport many_rows, multiply_thin
from .threads cimport threads_for

from minidl.errors import DTypeError, ShapeError

cnp.import_array()

cdef enum:
    TILES = 8            # most tiles of B packed side by side: with them,
    GROUP = 16           # panels of A that are used with one tile of B after the other stay in the L2 cache
    A_TILES = 16         # up to so many tiles of columns, A is read where it is: packing would cost more than it saves
    B_PANELS = 6         # up to so many panels of rows, B is
    THIN = 3             # up to so many times the rows taken together, B is not packed where it lies along k
    FLOPS = 100          # multiplications and additions a nanosecond, to guess what is worth a thread


cdef void multiply_block(Plan* p, Py_ssize_t n, Py_ssize_t p0, Py_ssize_t p1, Py_ssize_t j0, Py_ssize_t j1,
                         const real* panels, real* tiles, real* c_tile) noexcept nogil:
    """Panels p0..p1 and columns j0..j1 of product n; `panels` is all of A, `tiles` room for a block of B."""
    cdef const real* a = <const real*>p.a.data + p.a.start[n]
    cdef const real* b = <const real*>p.b.data + p.b.start[n]
    cdef const real* x
    cdef const real* start
    cdef real* c = <real*>p.c.data + p.c.start[n]
    cdef real* to
    cdef real* sums
    cdef const Py_ssize_t* off
    cdef Py_ssize_t k, kc, depth, i, j, j_rest, group, panel, tile, rows, padded, columns, ld, width = p.width
    cdef Py_ssize_t first_tile = j0 // width, last_tile = ceil_div(j1, width)
    cdef bint whole, accumulate
    for kc in range(ceil_div(p.depth, p.block) if p.depth else 1):
        k = kc * p.block
        depth = smaller(p.block, p.depth - k)
        for tile in range(first_tile, last_tile):
            j = tile * width
            columns = smaller(width, j1 - j)
            if not p.in_place or columns < width:
                pack(b + k * p.b.step_i + j * p.b.step_j, p.b.step_j, p.b.step_i, columns, width, depth,
                     tiles + (j - j0) * p.block)
        for group in range(p0 // GROUP, ceil_div(p1, GROUP)):
            for tile in range(first_tile, last_tile):
                j = tile * width
                columns = smaller(width, j1 - j)
                if p.in_place and columns == width:
                    x = b + k * p.b.step_i + j
                    off = p.off_in_place
                else:
                    x = tiles + (j - j0) * p.block
                    off = p.off_packed
                for panel in range(group * GROUP, smaller((group + 1) * GROUP, p1)):
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
                    start = NULL
                    if k == 0 and p.bias != NULL and p.bias_i == 1 and p.bias_j == 0 and padded == rows:
                        start = <const real*>p.bias + i         # a number for each row: the sums begin with it
                    accumulate = k > 0 or (p.bias != NULL and start == NULL)
                    if not whole and accumulate:     # no numbers left from before: denormals are slow
                        for j_rest in range(padded * width):
                            c_tile[j_rest] = 0
                    if k > 0 and not whole:
                        copy(rows, columns, to, p.c.step_i, p.c.step_j, sums, ld, 1)
                    elif k == 0 and accumulate:
                        copy(rows, columns, <const real*>p.bias + i * p.bias_i + j * p.bias_j, p.bias_i, p.bias_j,
                             sums, ld, 1)
                    if p.a_in_place:
                        multiply_in_place(a + i * p.a.step_i + k * p.a.step_j, p.a.step_i if rows == padded else 0,
                                          p.a.step_j, x, off, depth, padded, sums, ld, accumulate, start)
                    else:
                        multiply_tile(panels + i * p.depth + k * padded, x, off, depth, padded, sums, ld, accumulate,
                                      start)
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
    if count == 1 and p.rows <= THIN * many_rows(model) and p.columns > 1 and p.a.step_j == 1 and p.b.step_i == 1 \
            and p.depth >= 32:
        multiply_thin(p, model)
        return
    if effort(p.columns, p.rows, p.depth, p.c.step_i, model) < effort(p.rows, p.columns, p.depth, p.c.step_j, model):
        p.a, p.b = p.b, p.a                    # C' = B' A'
        p.a.step_i, p.a.step_j = p.a.step_j, p.a.step_i
        p.b.step_i, p.b.step_j = p.b.step_j, p.b.step_i
        p.c.step_i, p.c.step_j = p.c.step_j, p.c.step_i
        p.bias_i, p.bias_j = p.bias_j, p.bias_i
        p.rows, p.columns = p.columns, p.rows
    cdef Py_ssize_t nr = tile_columns(model), panels, k, tiles, blocks, parts, share
    cdef int threads
    p.height = panel_height(p.rows, model)
    p.width = nr * WIDE if p.height == 1 else nr
    panels = ceil_div(p.rows, p.height)
    p.in_place = p.b.step_j == 1 and (panels <= B_PANELS or p.b.step_i == p.width or p.depth * p.b.step_i <= 4096)
    p.a_in_place = ceil_div(p.columns, p.width) <= A_TILES
    p.block = ceil_div(p.depth, ceil_div(p.depth, KC)) if p.depth else 1
    for k in range(p.block):
        p.off_packed[k] = k * p.width
        p.off_in_place[k] = k * p.b.step_i
    # One item of work is a block of columns of one product, and only some rows where there are too few columns.
    threads = threads_for(2 * p.rows * p.columns * p.depth * count // FLOPS)
    share = ceil_div(threads, count)       # as many blocks for each of the threads that share a product
    tiles = ceil_div(p.columns, p.width)
    blocks = smaller(tiles, ceil_div(ceil_div(tiles, TILES), share) * share)
    parts = smaller(panels, ceil_div(threads, count * blocks))
    run(p, count, blocks, parts, threads, model)


cdef void run(Plan* p, Py_ssize_t count, Py_ssize_t blocks, Py_ssize_t parts, int threads, const real* _) except *:
    """Pack A, then share the products out among the threads: blocks of columns, and parts of the rows."""
    cdef Py_ssize_t tiles = ceil_div(p.columns, p.width)
    cdef Py_ssize_t panels = ceil_div(p.rows, p.height), n, item, block, part, j0, j1
    cdef Py_ssize_t size_a = (p.rows + 1) * p.depth, size_b = p.block * p.width * ceil_div(tiles, blocks)
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
            j0 = ceil_div(block * tiles, blocks) * p.width       # the larger blocks come first
            j1 = smaller(ceil_div((block + 1) * tiles, blocks) * p.width, p.columns)
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


cdef cnp.ndarray product(cnp.ndarray a__mk, cnp.ndarray b__kn, bint turn_a, bint turn_b, void* bias__n):
    """a @ b of two matrices, either taken transposed; plus a bias for each column."""
    cdef int am = 1 if turn_a else 0, bk = 1 if turn_b else 0
    cdef cnp.npy_intp shape[2]
    cdef Py_ssize_t zero = 0
    cdef Plan plan
    plan.rows = shape[0] = cnp.PyArray_DIM(a__mk, am)
    plan.columns = shape[1] = cnp.PyArray_DIM(b__kn, 1 - bk)
    plan.depth = cnp.PyArray_DIM(a__mk, 1 - am)
    cdef cnp.ndarray c__mn = empty(2, shape, cnp.PyArray_TYPE(a__mk))
    plan.a = Matrix(cnp.PyArray_DATA(a__mk), &zero, step(a__mk, am), step(a__mk, 1 - am))
    plan.b = Matrix(cnp.PyArray_DATA(b__kn), &zero, step(b__kn, bk), step(b__kn, 1 - bk))
    plan.c = Matrix(cnp.PyArray_DATA(c__mn), &zero, plan.columns, 1)
    plan.bias, plan.bias_i, plan.bias_j = bias__n, 0, 1
    if cnp.PyArray_TYPE(a__mk) == cnp.NPY_FLOAT:
        multiply(&plan, 1, <const float*>NULL)
    else:
        multiply(&plan, 1, <const double*>NULL)
    return c__mn


def linear(x, weight, bias):
    """y[m, o] = sum over k of x[m, k] * weight[o, k], plus bias[o]: (M, K), (O, K), (O,) or None -> (M, O)."""
    check_alike(x, weight, "linear")
    cdef cnp.ndarray x__mk = steady(x), weight__ok = steady(weight), bias__o = None
    if cnp.PyArray_NDIM(x__mk) != 2 or cnp.PyArray_NDIM(weight__ok) != 2 \
            or cnp.PyArray_DIM(x__mk, 1) != cnp.PyArray_DIM(weight__ok, 1):
        raise ShapeError("linear", expected="x (M, K) and weight (O, K) with the same K",
                         actual=f"{x.shape} and {weight.shape}", hint="flatten x, or check in_features")
    if bias is None:
        return product(x__mk, weight__ok, False, True, NULL)
    bias__o = vector(bias, weight__ok, cnp.PyArray_DIM(weight__ok, 0), "linear")
    return product(x__mk, weight__ok, False, True, cnp.PyArray_DATA(bias__o))


def linear_parameter_grads(grad, x):
    """dw[o, k] = sum over m of grad[m, o] * x[m, k] and db[o] = sum over m of grad[m, o]: (M, O), (M, K)."""
    check_alike(grad, x, "linear_parameter_grads")
    cdef cnp.ndarray grad__mo = ready(grad, cnp.PyArray_TYPE(<cnp.ndarray>grad)), x__mk = steady(x)
    if cnp.PyArray_NDIM(grad__mo) != 2 or cnp.PyArray_NDIM(x__mk) != 2 \
            or cnp.PyArray_DIM(grad__mo, 0) != cnp.PyArray_DIM(x__mk, 0):
        raise ShapeError("linear_parameter_grads", expected="grad (M, O) and x (M, K) with the same M",
                         actual=f"{grad.shape} and {x.shape}", hint="a row of each belongs to the same example")
    return product(grad__mo, x__mk, True, False, NULL), sum_kept(grad__mo, 1, 2)
