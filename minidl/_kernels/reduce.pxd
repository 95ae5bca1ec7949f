# Sums and maxima over a contiguous row, fast without -ffast-math.
#
# A compiler may not reorder floating-point additions, so the order that suits the vector unit is written out:
# running sums side by side, one for every element of a block of 2 LANES, folded in halves at the end. The order is
# fixed by this source, never by the processor or the number of threads. Rows are meant to be short (a few thousand
# elements); whoever sums more adds the blocks in double.

from .arrays cimport real

cdef enum:
    LANES = 32
    HALF = 16

cdef enum Term:
    PLAIN                        # x
    PRODUCT                      # a (x - center)
    SQUARE                       # (x - center)**2


cdef inline real fold(real* lane) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(16):
        lane[j] += lane[j + 16]
    for j in range(8):
        lane[j] += lane[j + 8]
    for j in range(4):
        lane[j] += lane[j + 4]
    return (lane[0] + lane[2]) + (lane[1] + lane[3])


cdef inline void fold_halves(real* lane, Py_ssize_t width, Py_ssize_t half, Py_ssize_t rows) noexcept nogil:
    """lane[r, j] += lane[r, half + j]"""
    cdef Py_ssize_t r, j
    for r in range(rows):
        for j in range(half):
            lane[r * width + j] += lane[r * width + half + j]


cdef inline void fold_rows(real* lane, Py_ssize_t width, real* sums, Py_ssize_t rows) noexcept nogil:
    """The sum of each of some rows of `width` (a constant: only 4, 8, 16 or 32) sums, one step for all of them: so it becomes
    vector code, which GCC does not make of the steps for one row (it takes those additions apart, as in `fold`)."""
    cdef Py_ssize_t r
    if width == 32:
        fold_halves(lane, width, 16, rows)
    if width >= 16:
        fold_halves(lane, width, 8, rows)
    if width >= 8:
        fold_halves(lane, width, 4, rows)
    for r in range(rows):
        sums[r] = (lane[r * width] + lane[r * width + 2]) + (lane[r * width + 1] + lane[r * width + 3])


cdef inline real term_of(Term term, const real* a, const real* x, real center, Py_ssize_t j) noexcept nogil:
    if term == PLAIN:
        return x[j]
    elif term == PRODUCT:
        return a[j] * (x[j] - center)
    else:
        return (x[j] - center) * (x[j] - center)


cdef inline real add_up(Term term, const real* a, const real* x, real center, Py_ssize_t n) noexcept nogil:
    """The sum of a term, a constant at each call, over a row."""
    cdef real lane[LANES]
    cdef real more[LANES]
    cdef real rest[LANES]        # a copy for the tail: indexing `lane` by a variable would keep it out of registers
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = more[j] = 0
    for block in range(n // (2 * LANES)):
        for j in range(LANES):
            lane[j] += term_of(term, a, x, center, j)
        for j in range(LANES):
            more[j] += term_of(term, a, x, center, LANES + j)
        a += 2 * LANES
        x += 2 * LANES
    n %= 2 * LANES
    if n >= LANES:
        for j in range(LANES):
            lane[j] += term_of(term, a, x, center, j)
        a += LANES
        x += LANES
        n -= LANES
    for j in range(LANES):
        rest[j] = lane[j] + more[j]
    for j in range(n):
        rest[j] += term_of(term, a, x, center, j)
    return fold(rest)


cdef inline real total(const real* x, Py_ssize_t n) noexcept nogil:
    """sum x[i]"""
    return add_up(PLAIN, x, x, <real>0, n)


cdef inline real dot(const real* a, const real* x, real center, Py_ssize_t n) noexcept nogil:
    """sum a[i] (x[i] - center)"""
    return add_up(PRODUCT, a, x, center, n)


cdef inline real squares(const real* x, real center, Py_ssize_t n) noexcept nogil:
    """sum (x[i] - center)**2"""
    return add_up(SQUARE, x, x, center, n)


cdef inline void spread(Term term, const real* a, const real* x, real center, Py_ssize_t n, real* sums) noexcept nogil:
    """HALF sums that `fold_rows` makes the sum of a term over a row."""
    cdef real lane[LANES]        # not `sums` itself: indexing by a variable, as the tail does, needs memory
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += term_of(term, a, x, center, j)
        a += LANES
        x += LANES
    for j in range(HALF):
        sums[j] = lane[j] + lane[j + HALF]
    n %= LANES
    for j in range(n if n < HALF else HALF):
        sums[j] += term_of(term, a, x, center, j)
    for j in range(n - HALF):
        sums[j] += term_of(term, a, x, center, j + HALF)


cdef inline real largest(const real* x, Py_ssize_t n) noexcept nogil:
    """max x[i], NaN ignored; -inf for n = 0"""
    cdef real lane[LANES]
    cdef real rest[LANES]
    cdef Py_ssize_t block, j
    cdef real best = <real>-1e999
    for j in range(LANES):
        lane[j] = best
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] = x[j] if x[j] > lane[j] else lane[j]
        x += LANES
    for j in range(LANES):
        rest[j] = lane[j]
    for j in range(n % LANES):
        rest[j] = x[j] if x[j] > rest[j] else rest[j]
    for j in range(16):
        rest[j] = rest[j + 16] if rest[j + 16] > rest[j] else rest[j]
    for j in range(8):
        rest[j] = rest[j + 8] if rest[j + 8] > rest[j] else rest[j]
    for j in range(4):
        rest[j] = rest[j + 4] if rest[j + 4] > rest[j] else rest[j]
    for j in range(4):
        best = rest[j] if rest[j] > best else best
    return best


cdef inline void add_row(Term term, const real* a, const real* x, real center, Py_ssize_t n,
                         real* lane) noexcept nogil:
    """Add a row to LANES running sums that the caller keeps, and folds in the end."""
    cdef Py_ssize_t block, j
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += term_of(term, a, x, center, j)
        a += LANES
        x += LANES
    for j in range(n % LANES):
        lane[j] += term_of(term, a, x, center, j)
