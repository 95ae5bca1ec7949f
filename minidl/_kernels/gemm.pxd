# The micro-kernel and what surrounds it, for gemm.pyx and conv.pyx.

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

cdef extern from *:
    """
    #if defined(__AVX512F__)
    enum { SQUARE = 16 };
    #else
    enum { SQUARE = 8 };
    #endif
    """
    enum:
        SQUARE           # rows and columns that are transposed at a time, in registers or nearly so

cdef enum:
    WIDE = 4             # a single row takes WIDE * NR columns, to have enough independent sums
    TILE = 12 * 32       # numbers in the largest tile
    KC = 256             # depth of a block of B

cdef extern from *:
    """
    #define MINIDL_LARGEST 17592186044416.0
    """
    const double LARGEST "MINIDL_LARGEST"        # 2**44: no kernel asks for working memory for more numbers


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
                        real* c, Py_ssize_t ld, bint accumulate) noexcept nogil
cdef void multiply_in_place(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, const real* x, const Py_ssize_t* off,
                            Py_ssize_t depth, Py_ssize_t rows, real* c, Py_ssize_t ld, bint accumulate) noexcept nogil
cdef void transpose(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                    real* to__ki) noexcept nogil
cdef void pack(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, Py_ssize_t count, Py_ssize_t width,
               Py_ssize_t depth, real* packed) noexcept nogil
cdef void copy(Py_ssize_t rows, Py_ssize_t columns, const real* source, Py_ssize_t source_i, Py_ssize_t source_j,
               real* to, Py_ssize_t to_i, Py_ssize_t to_j) noexcept nogil


cdef struct Matrix:
    # Element (i, j) of matrix n of a stack is data[start[n] + i * step_i + j * step_j]
    void* data
    const Py_ssize_t* start
    Py_ssize_t step_i
    Py_ssize_t step_j


cdef struct Plan:
    # C = bias + A B. The caller sets the matrices, the bias and the sizes; `multiply` decides the rest.
    Matrix a
    Matrix b
    Matrix c
    void* bias                       # bias[i * bias_i + j * bias_j], or NULL
    Py_ssize_t bias_i
    Py_ssize_t bias_j
    Py_ssize_t rows, columns, depth  # M, N, K
    Py_ssize_t height, width         # of a panel of A, of a tile of B
    Py_ssize_t block                 # depth of the blocks that k is cut into
    Py_ssize_t group                 # panels that are used with one tile of B after the other
    bint a_in_place                  # A is read where it is: no packing
    bint in_place                    # B is
    Py_ssize_t off_packed[2 * KC]
    Py_ssize_t off_in_place[2 * KC]


cdef void multiply(Plan* plan, Py_ssize_t count, const real* model) except *
