# Sums and maxima over a contiguous row, fast without -ffast-math.
#
# A compiler may not reorder floating-point additions, so the order that suits the vector unit is written out:
# LANES running sums, one for every LANES-th element, folded in halves at the end. The order is fixed by this
# source, never by the processor or the number of threads. Rows are meant to be short (a few thousand elements);
# whoever sums more adds the blocks in double.

from .arrays cimport real

cdef enum:
    LANES = 32


cdef inline real fold(real* lane) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(16):
        lane[j] += lane[j + 16]
    for j in range(8):
        lane[j] += lane[j + 8]
    for j in range(4):
        lane[j] += lane[j + 4]
    return (lane[0] + lane[2]) + (lane[1] + lane[3])


cdef inline real total(const real* x, Py_ssize_t n) noexcept nogil:
    """sum x[i]"""
    cdef real lane[LANES]
    cdef real rest[LANES]        # a copy for the tail: indexing `lane` by a variable would keep it out of registers
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += x[j]
        x += LANES
    for j in range(LANES):
        rest[j] = lane[j]
    for j in range(n % LANES):
        rest[j] += x[j]
    return fold(rest)


cdef inline real dot(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    """sum a[i] b[i]"""
    cdef real lane[LANES]
    cdef real rest[LANES]
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += a[j] * b[j]
        a += LANES
        b += LANES
    for j in range(LANES):
        rest[j] = lane[j]
    for j in range(n % LANES):
        rest[j] += a[j] * b[j]
    return fold(rest)


cdef inline real centered_dot(const real* a, const real* x, real center, Py_ssize_t n) noexcept nogil:
    """sum a[i] (x[i] - center)"""
    cdef real lane[LANES]
    cdef real rest[LANES]
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += a[j] * (x[j] - center)
        a += LANES
        x += LANES
    for j in range(LANES):
        rest[j] = lane[j]
    for j in range(n % LANES):
        rest[j] += a[j] * (x[j] - center)
    return fold(rest)


cdef inline real squares(const real* x, real center, Py_ssize_t n) noexcept nogil:
    """sum (x[i] - center)**2"""
    cdef real lane[LANES]
    cdef real rest[LANES]
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += (x[j] - center) * (x[j] - center)
        x += LANES
    for j in range(LANES):
        rest[j] = lane[j]
    for j in range(n % LANES):
        rest[j] += (x[j] - center) * (x[j] - center)
    return fold(rest)


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
    for j in range(LANES):
        best = rest[j] if rest[j] > best else best
    return best


cdef inline void two_sums(const real* a, const real* x, real center, Py_ssize_t n, double* sum_a,
                          double* sum_ax) noexcept nogil:
    """Add sum a[i] and sum a[i] (x[i] - center), reading a once."""
    cdef real lane[LANES]
    cdef real lane_x[LANES]
    cdef real rest[LANES]
    cdef real rest_x[LANES]
    cdef Py_ssize_t block, j
    for j in range(LANES):
        lane[j] = lane_x[j] = 0
    for block in range(n // LANES):
        for j in range(LANES):
            lane[j] += a[j]
        for j in range(LANES):
            lane_x[j] += a[j] * (x[j] - center)
        a += LANES
        x += LANES
    for j in range(LANES):
        rest[j] = lane[j]
        rest_x[j] = lane_x[j]
    for j in range(n % LANES):
        rest[j] += a[j]
        rest_x[j] += a[j] * (x[j] - center)
    sum_a[0] += fold(rest)
    sum_ax[0] += fold(rest_x)
