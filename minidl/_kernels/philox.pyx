"""Dropout with a counter-based generator: which elements stay follows from the seed and their position alone.

Philox4x32-10 turns a counter and a key into four random words by ten rounds of two multiplications. Since every
counter stands for itself, any thread may compute any part, and a whole batch of counters goes through each round side
by side in vector registers. Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy as
1, 2, 3, SC 2011.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from .arrays cimport empty_like, first, real, smaller
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    BATCH = 64                   # counters side by side
    BLOCK = 4096                 # elements of one task, a multiple of 4 BATCH
    COST = 900                   # nanoseconds for a thousand elements

cdef uint64_t MULTIPLIER_A = 0xD2511F53u
cdef uint64_t MULTIPLIER_C = 0xCD9E8D57u
cdef uint32_t KEY_STEP_LOW = 0x9E3779B9u
cdef uint32_t KEY_STEP_HIGH = 0xBB67AE85u


cdef void philox(uint64_t key, uint64_t counter, uint32_t* words) noexcept nogil:
    """The 4 BATCH words of BATCH counters, from `counter` on."""
    cdef uint32_t a[BATCH]
    cdef uint32_t b[BATCH]
    cdef uint32_t c[BATCH]
    cdef uint32_t d[BATCH]
    cdef uint32_t low = <uint32_t>key, high = <uint32_t>(key >> 32)
    cdef uint64_t left, right
    cdef Py_ssize_t i, turn
    for i in range(BATCH):
        a[i] = <uint32_t>(counter + <uint64_t>i)
        b[i] = <uint32_t>((counter + <uint64_t>i) >> 32)
        c[i] = d[i] = 0
    for turn in range(10):
        for i in range(BATCH):
            left = MULTIPLIER_A * a[i]
            right = MULTIPLIER_C * c[i]
            a[i] = <uint32_t>(right >> 32) ^ b[i] ^ low
            b[i] = <uint32_t>right
            c[i] = <uint32_t>(left >> 32) ^ d[i] ^ high
            d[i] = <uint32_t>left
        low += KEY_STEP_LOW
        high += KEY_STEP_HIGH
    for i in range(BATCH):
        words[4 * i] = a[i]
        words[4 * i + 1] = b[i]
        words[4 * i + 2] = c[i]
        words[4 * i + 3] = d[i]


cdef void dropout_block(const real* x, real* y, Py_ssize_t n, uint64_t key, uint64_t counter, uint32_t threshold,
                        real scale) noexcept nogil:
    cdef uint32_t words[4 * BATCH]
    cdef Py_ssize_t i, size
    while n > 0:
        philox(key, counter, words)
        size = smaller(n, 4 * BATCH)
        for i in range(size):
            y[i] = x[i] * scale if words[i] >= threshold else <real>0
        x += size
        y += size
        n -= size
        counter += BATCH


def dropout(x, double p, uint64_t seed, uint64_t offset):
    """Element i stays, divided by 1 - p, if word i mod 4 of counter offset + i div 4 is at least p 2**32."""
    cdef cnp.ndarray x_ = first(x, -1, "dropout"), y = empty_like(x_)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x_), i
    cdef void* xp = cnp.PyArray_DATA(x_)
    cdef void* yp = cnp.PyArray_DATA(y)
    cdef double limit = p * 4294967296.0
    cdef uint32_t threshold
    cdef int threads = threads_for(n * COST // 1000)
    if not limit <= 4294967295.0:                            # no word is as large: nothing stays (NaN too)
        memset(yp, 0, cnp.PyArray_NBYTES(y))
        return y
    threshold = 0 if limit <= 0 else <uint32_t>limit
    if threshold < limit:
        threshold += 1                                       # rounded up
    if cnp.PyArray_TYPE(x_) == cnp.NPY_FLOAT:
        for i in prange(0, n, 4096, nogil=True, num_threads=threads, schedule="static"):
            dropout_block(<float*>xp + i, <float*>yp + i, smaller(BLOCK, n - i), seed, offset + <uint64_t>i // 4,
                          threshold, <float>(1 / (1 - p)))
    else:
        for i in prange(0, n, 4096, nogil=True, num_threads=threads, schedule="static"):
            dropout_block(<double*>xp + i, <double*>yp + i, smaller(BLOCK, n - i), seed, offset + <uint64_t>i // 4,
                          threshold, 1 / (1 - p))
    return y
