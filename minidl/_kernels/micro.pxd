# The micro-kernel: the sizes of its tile, for whoever cuts a problem into tiles, and its two entrances.

from .arrays cimport real

# A tile of the result that fits the registers: at most MR rows, exactly NR columns. GCC turns the plain loops of
# `micro` into the best code for these shapes (measured); loops of 16 it unrolls too early, hence the odd numbers.
cdef extern from *:
    """
    #if defined(__AVX512F__)
    enum { MR_FLOAT = 12, NR_FLOAT = 32, MR_DOUBLE = 9, NR_DOUBLE = 24 };
    #elif defined(__AVX2__)
    enum { MR_FLOAT = 4, NR_FLOAT = 24, MR_DOUBLE = 2, NR_DOUBLE = 20 };
    #else
    enum { MR_FLOAT = 3, NR_FLOAT = 8, MR_DOUBLE = 4, NR_DOUBLE = 12 };
    #endif
    """
    enum:
        MR_FLOAT
        NR_FLOAT
        MR_DOUBLE
        NR_DOUBLE

cdef enum:
    WIDE = 4             # a single row takes WIDE * NR columns, to have enough independent sums
    TILE = 12 * 32       # numbers in the largest tile


cdef inline Py_ssize_t tile_rows(const real* _) noexcept nogil:
    return MR_FLOAT if real is float else MR_DOUBLE


cdef inline Py_ssize_t tile_columns(const real* _) noexcept nogil:
    return NR_FLOAT if real is float else NR_DOUBLE


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline Py_ssize_t panel_height(Py_ssize_t rows, const real* a) noexcept nogil:
    """Rows are cut into equal panels: 20 rows are 10 + 10, not 14 + 6."""
    return ceil_div(rows, ceil_div(rows, tile_rows(a)))


cdef inline Py_ssize_t padded_height(Py_ssize_t rows, Py_ssize_t height) noexcept nogil:
    """Below taller panels a single row is filled up to two: the micro-kernel for one row is wider than the tiles."""
    return 2 if rows == 1 and height > 1 else rows


cdef void multiply_tile(const real* a, const real* x, const Py_ssize_t* off, Py_ssize_t depth, Py_ssize_t rows,
                        real* c, Py_ssize_t ld, bint accumulate, const real* start) noexcept nogil
cdef void multiply_in_place(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, const real* x, const Py_ssize_t* off,
                            Py_ssize_t depth, Py_ssize_t rows, real* c, Py_ssize_t ld, bint accumulate,
                            const real* start) noexcept nogil
