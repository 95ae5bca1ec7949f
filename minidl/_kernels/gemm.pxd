# The plan of a product, for whoever multiplies matrices.

from .arrays cimport real

cdef enum:
    KC = 512             # depth of the largest block of B

cdef extern from *:
    """
    #define MINIDL_LARGEST 17592186044416.0
    """
    const double LARGEST "MINIDL_LARGEST"        # 2**44: no kernel asks for working memory for more numbers


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
    bint a_in_place                  # A is read where it is: no packing
    bint in_place                    # B is
    Py_ssize_t off_packed[KC]
    Py_ssize_t off_in_place[KC]


cdef void multiply(Plan* plan, Py_ssize_t count, const real* model) except *
