"""The micro-kernel, where nearly all multiplications happen: one tile of a product, in registers.

It computes a tile of C, MR x NR sums that stay in registers, while it walks down k. A comes as a *panel*: MR rows
stored k by k, so that it is read front to back. Row k of B starts at ``x + off[k]``: a table of numbers says where. For
a matrix ``off[k] = k * ldb``; sweep.pyx puts other numbers there and has a convolution.

             x + off[k] --->  b b b b ... b   NR numbers in a row, wherever they are
                          .-----------------
     panel of A, row k    |  c c c c ... c    c[i, j] += a[k, i] * b[j]
       a[k, 0..MR-1]      |  c c c c ... c
            |             |  c c c c ... c    MR x NR sums in registers
            '---->        |  c c c c ... c

For each row k it loads MR + NR numbers and does MR * NR multiplications and additions: the larger the tile, the less
memory matters, until the registers are full.
"""

from .arrays cimport real

# `micro` is written once, for any tile; inlined at each call with constant sizes its loops become straight code.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    """


cdef double zeros[WIDE * 32]                     # also zeros if read as floats
cdef Py_ssize_t nowhere[1]


cdef inline void micro(const real* a__mk, Py_ssize_t step_i, Py_ssize_t step_k, const real* x, const Py_ssize_t* off,
                       Py_ssize_t depth, real* c__mn, Py_ssize_t ld, bint accumulate, const real* start, real* c,
                       int rows, int groups) noexcept nogil:
    """c[i, g, j] = start[i] + sum over k of a[i, k] * x[off[k] + g*NR + j]; `rows` and `groups` are constants.

    `c` is the caller's local array. The compiler keeps it in registers, from first to last, because there is one way
    only from the start to the end: nothing to choose before the loop, and a loop that is always entered. Otherwise it
    goes to memory and back at each fork of the way, which for short sums takes a sixth of the time.
    """
    cdef Py_ssize_t nr = tile_columns(a__mk), k = 0
    cdef int i, g, j
    cdef const real* b
    for i in range(rows):
        for j in range(groups * nr):
            c[i * groups * nr + j] = start[i]
    while True:
        b = x + off[k]
        for i in range(rows):
            for g in range(groups):
                for j in range(nr):
                    c[(i * groups + g) * nr + j] += a__mk[i * step_i + k * step_k] * b[g * nr + j]
        k += 1
        if k >= depth:
            break
    if accumulate:
        for i in range(rows):
            for j in range(groups * nr):
                c__mn[i * ld + j] += c[i * groups * nr + j]
    else:
        for i in range(rows):
            for j in range(groups * nr):
                c__mn[i * ld + j] = c[i * groups * nr + j]


cdef inline void choose(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, bint packed, const real* x,
                        const Py_ssize_t* off, Py_ssize_t depth, Py_ssize_t rows, real* c, Py_ssize_t ld,
                        bint accumulate, const real* start) noexcept nogil:
    """The micro-kernel for so many rows: NR columns, WIDE * NR for a single row. Steps of a packed panel: 1, rows."""
    cdef Py_ssize_t most = tile_rows(a)          # a constant: branches beyond it cost nothing
    cdef real sums[TILE]                         # one for all: GCC 12 mixes up the arrays of several inlined copies
    if accumulate or start == NULL:
        start = <const real*>zeros
    if depth == 0:                               # a sum of no terms is a sum of one zero
        a, x, off, step_i = <const real*>zeros, <const real*>zeros, nowhere, 1
    if rows == 1:
        micro(a, step_i, 1 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 1, WIDE)
    elif rows == 2:
        micro(a, step_i, 2 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 2, 1)
    elif rows == 3 and most >= 3:
        micro(a, step_i, 3 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 3, 1)
    elif rows == 4 and most >= 4:
        micro(a, step_i, 4 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 4, 1)
    elif rows == 5 and most >= 5:
        micro(a, step_i, 5 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 5, 1)
    elif rows == 6 and most >= 6:
        micro(a, step_i, 6 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 6, 1)
    elif rows == 7 and most >= 7:
        micro(a, step_i, 7 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 7, 1)
    elif rows == 8 and most >= 8:
        micro(a, step_i, 8 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 8, 1)
    elif rows == 9 and most >= 9:
        micro(a, step_i, 9 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 9, 1)
    elif rows == 10 and most >= 10:
        micro(a, step_i, 10 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 10, 1)
    elif rows == 11 and most >= 11:
        micro(a, step_i, 11 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 11, 1)
    elif rows == 12 and most >= 12:
        micro(a, step_i, 12 if packed else step_k, x, off, depth, c, ld, accumulate, start, sums, 12, 1)


cdef void multiply_tile(const real* a, const real* x, const Py_ssize_t* off, Py_ssize_t depth, Py_ssize_t rows,
                        real* c, Py_ssize_t ld, bint accumulate, const real* start) noexcept nogil:
    """The micro-kernel for a packed panel. `ld`: from row to row of c.

    The sums go on from those in c, or begin with a number for each row (a bias), or with zeros (`start` is NULL).
    """
    choose(a, 1, 0, True, x, off, depth, rows, c, ld, accumulate, start)


cdef void multiply_in_place(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, const real* x, const Py_ssize_t* off,
                            Py_ssize_t depth, Py_ssize_t rows, real* c, Py_ssize_t ld, bint accumulate,
                            const real* start) noexcept nogil:
    """The micro-kernel for rows of A where they lie: each in a stream of its own, good for a few tiles of columns."""
    choose(a, step_i, step_k, False, x, off, depth, rows, c, ld, accumulate, start)
