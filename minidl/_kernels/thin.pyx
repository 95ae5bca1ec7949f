"""A product with few rows, as `linear` has it for one sample or a few: each number of B is needed only once or a few
times, and to rearrange B would cost more than to multiply by it.

    C[m, n] = bias + sum over k of A[m, k] * B[k, n]          rows of A and columns of B lie along k

So B is read front to back, four of its columns at a time, with one row of A or a few: as many dot products, each in
partial sums side by side, so that they are vector instructions; at the end these are added in a fixed order.
"""

from cython.parallel cimport prange

from .arrays cimport real, smaller
from .gemm cimport Plan
from .micro cimport TILE, ceil_div, tile_columns
from .threads cimport threads_for

# Inlined with constant sizes, the loops of `dots` become straight code.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    """

cdef enum:
    COLUMNS = 4          # of B at a time
    SHORT = 8            # partial sums for what is left over
    NUMBERS = 5          # of B that are read in a nanosecond, to guess what is worth a thread


cdef inline void add_products(const real* a__mk, Py_ssize_t step_a, const real* b__nk, Py_ssize_t step_b, real* parts__mnk,
                              int rows, int columns, Py_ssize_t width) noexcept nogil:
    """parts[m, n, k] += a[m, k] * b[n, k] for `width` k; all three numbers are constants at each call."""
    cdef int m, n, k
    for m in range(rows):
        for n in range(columns):
            for k in range(width):
                parts__mnk[(m * columns + n) * width + k] += a__mk[m * step_a + k] * b__nk[n * step_b + k]


cdef inline void add_neighbours(const real* parts, Py_ssize_t count, real* sums) noexcept nogil:
    """sums[i] = parts[2 * i] + parts[2 * i + 1]"""
    cdef Py_ssize_t i
    for i in range(count):
        sums[i] = parts[2 * i] + parts[2 * i + 1]


cdef inline void add_lanes(real* parts__ik, Py_ssize_t lanes, int count) noexcept nogil:
    """parts[i] = the sum of the i-th `lanes` parts: 16, 32, or less and divisible by 4."""
    cdef real sums[TILE]
    cdef real chain[4]
    cdef Py_ssize_t k
    cdef int i, j
    if lanes % 16 == 0:          # all at once, as vectors; halves, as in reduce.pxd, take a sixth longer here
        for i in range(count if lanes == 32 else 0):
            for j in range(16):
                parts__ik[i * 16 + j] = parts__ik[i * 32 + j] + parts__ik[i * 32 + 16 + j]
        add_neighbours(<const real*>parts__ik, count * 8, sums)
        add_neighbours(<const real*>sums, count * 4, parts__ik)
        add_neighbours(<const real*>parts__ik, count * 2, sums)
        add_neighbours(<const real*>sums, count, parts__ik)
        return
    for i in range(count):       # one by one, in four chains that do not wait for each other
        for j in range(4):
            chain[j] = parts__ik[i * lanes + j]
        for k in range(1, lanes // 4):
            for j in range(4):
                chain[j] += parts__ik[i * lanes + 4 * k + j]
        parts__ik[i] = (chain[0] + chain[1]) + (chain[2] + chain[3])


cdef inline void dots(const Plan* p, Py_ssize_t m0, Py_ssize_t n0, const real* _, int rows, int columns,
                      Py_ssize_t lanes) noexcept nogil:
    """C from (m0, n0) on, with so many partial sums; the last three are constants at each call."""
    cdef const real* a__mk = <const real*>p.a.data + p.a.start[0] + m0 * p.a.step_i
    cdef const real* b__nk = <const real*>p.b.data + p.b.start[0] + n0 * p.b.step_j
    cdef const real* bias = <const real*>p.bias + m0 * p.bias_i + n0 * p.bias_j if p.bias != NULL else <const real*>NULL
    cdef Py_ssize_t step_i = p.c.step_i, step_j = p.c.step_j, bias_i = p.bias_i, bias_j = p.bias_j
    cdef real* c__mn = <real*>p.c.data + p.c.start[0] + m0 * p.c.step_i + n0 * p.c.step_j
    cdef Py_ssize_t whole = p.depth // lanes * lanes, short = (p.depth - whole) // SHORT * SHORT, k
    cdef real parts[TILE]
    cdef real rest[4 * COLUMNS * SHORT]
    cdef int m, n
    for m in range(rows * columns * lanes):
        parts[m] = 0
    for k in range(whole // lanes):
        add_products(a__mk + k * lanes, p.a.step_i, b__nk + k * lanes, p.b.step_j, parts, rows, columns, lanes)
    if short:
        for m in range(rows * columns * SHORT):
            rest[m] = 0
        for k in range(short // SHORT):
            add_products(a__mk + whole + k * SHORT, p.a.step_i, b__nk + whole + k * SHORT, p.b.step_j, rest, rows, columns, SHORT)
        for m in range(rows * columns):
            for n in range(SHORT):
                parts[m * lanes + n] += rest[m * SHORT + n]
    add_lanes(parts, lanes, rows * columns)
    for k in range(whole + short, p.depth):
        for m in range(rows):
            for n in range(columns):
                parts[m * columns + n] += a__mk[m * p.a.step_i + k] * b__nk[n * p.b.step_j + k]
    for m in range(rows):
        for n in range(columns):
            c__mn[m * step_i + n * step_j] = parts[m * columns + n] + (bias[m * bias_i + n * bias_j] if bias != NULL else 0)


cdef void multiply_columns(const Plan* p, Py_ssize_t n0, Py_ssize_t columns, const real* _) noexcept nogil:
    """Columns n0 .. n0 + columns of C, at most COLUMNS of them."""
    cdef Py_ssize_t m = 0, n, nr = tile_columns(_)
    if columns == COLUMNS and many_rows(_) == 4:
        while m + 4 <= p.rows:
            dots(p, m, n0, _, 4, COLUMNS, 16)
            m += 4
    elif columns == COLUMNS and many_rows(_) == 2:
        while m + 2 <= p.rows:
            dots(p, m, n0, _, 2, COLUMNS, nr)
            m += 2
    for m in range(m, p.rows):
        if columns == COLUMNS:
            dots(p, m, n0, _, 1, COLUMNS, nr)
        else:
            for n in range(n0, n0 + columns):
                dots(p, m, n, _, 1, 1, nr)


cdef void multiply_thin(const Plan* p, const real* _) noexcept nogil:
    cdef Py_ssize_t block
    for block in prange(ceil_div(p.columns, COLUMNS), num_threads=threads_for(p.rows * p.columns * p.depth // (4 * NUMBERS)),
                        schedule="static"):
        multiply_columns(p, block * COLUMNS, smaller(COLUMNS, p.columns - block * COLUMNS), _)
