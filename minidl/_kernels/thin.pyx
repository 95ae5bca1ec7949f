"""A product with few rows, as `linear` has it for one sample or a few: each number of B is needed only once or a few
times, and to rearrange B would cost more than to multiply by it.

    C[m, n] = bias + sum over k of A[m, k] * B[n, k]          rows of A and of B lie along k

So B is read front to back, four of its rows at a time: four dot products, each in NR partial sums side by side, so that
they are vector instructions; at the end the partial sums are added in a fixed order.
"""

from cython.parallel cimport prange

from .arrays cimport real, smaller
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
    ROWS = 4             # of B at a time
    SHORT = 8            # partial sums for what NR at a time leave over
    NUMBERS = 5          # of B that are read in a nanosecond, to guess what is worth a thread


cdef void add_parts(const real* parts, Py_ssize_t length, Py_ssize_t count, real* sums) noexcept nogil:
    """sums[n] = the sum of `length` parts (divisible by 4), in four chains that do not wait for each other."""
    cdef Py_ssize_t n, j
    cdef real s0, s1, s2, s3
    for n in range(count):
        s0 = s1 = s2 = s3 = 0
        for j in range(length // 4):
            s0 += parts[n * length + 4 * j]
            s1 += parts[n * length + 4 * j + 1]
            s2 += parts[n * length + 4 * j + 2]
            s3 += parts[n * length + 4 * j + 3]
        sums[n] = (s0 + s1) + (s2 + s3)


cdef inline void dots(const real* a__k, const real* b__nk, Py_ssize_t step, Py_ssize_t depth, real* sums,
                      int count) noexcept nogil:
    """sums[n] = sum over k of a[k] * b[n, k] for `count` rows, a constant at each call."""
    cdef Py_ssize_t nr = tile_columns(a__k), k, whole = depth // nr * nr
    cdef real parts[TILE]
    cdef real rest[ROWS * SHORT]
    cdef int n, j
    for j in range(count * nr):
        parts[j] = 0
    for j in range(count * SHORT):
        rest[j] = 0
    for k in range(whole // nr):
        for n in range(count):
            for j in range(nr):
                parts[n * nr + j] += a__k[k * nr + j] * b__nk[n * step + k * nr + j]
    for k in range((depth - whole) // SHORT):
        for n in range(count):
            for j in range(SHORT):
                rest[n * SHORT + j] += a__k[whole + k * SHORT + j] * b__nk[n * step + whole + k * SHORT + j]
    add_parts(parts, nr, count, sums)
    if depth - whole >= SHORT:
        for n in range(count):
            for j in range(SHORT):
                sums[n] += rest[n * SHORT + j]
    for k in range(whole + (depth - whole) // SHORT * SHORT, depth):
        for n in range(count):
            sums[n] += a__k[k] * b__nk[n * step + k]


cdef void multiply_rows(Py_ssize_t rows, Py_ssize_t n0, Py_ssize_t count, Py_ssize_t depth, const real* a__mk,
                        Py_ssize_t step_a, const real* b__nk, Py_ssize_t step_b, const real* bias, Py_ssize_t bias_i,
                        Py_ssize_t bias_j, real* c__mn, Py_ssize_t step_i, Py_ssize_t step_j) noexcept nogil:
    """Columns n0 .. n0 + count of C, at most ROWS of them."""
    cdef real sums[ROWS]
    cdef Py_ssize_t m, n
    for m in range(rows):
        if count == ROWS:
            dots(a__mk + m * step_a, b__nk + n0 * step_b, step_b, depth, sums, ROWS)
        else:
            for n in range(count):
                dots(a__mk + m * step_a, b__nk + (n0 + n) * step_b, step_b, depth, sums + n, 1)
        for n in range(count):
            c__mn[m * step_i + (n0 + n) * step_j] = \
                sums[n] + (bias[m * bias_i + (n0 + n) * bias_j] if bias != NULL else 0)


cdef void multiply_thin(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth, const real* a__mk, Py_ssize_t step_a,
                        const real* b__nk, Py_ssize_t step_b, const real* bias, Py_ssize_t bias_i, Py_ssize_t bias_j,
                        real* c__mn, Py_ssize_t step_i, Py_ssize_t step_j) noexcept nogil:
    cdef Py_ssize_t block
    for block in prange(ceil_div(columns, ROWS), num_threads=threads_for(rows * columns * depth // (4 * NUMBERS)),
                        schedule="static"):
        multiply_rows(rows, block * ROWS, smaller(ROWS, columns - block * ROWS), depth, a__mk, step_a, b__nk, step_b,
                      bias, bias_i, bias_j, c__mn, step_i, step_j)
