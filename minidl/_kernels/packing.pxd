# Rearranging matrices for the micro-kernel.

from libc.string cimport memcpy

from .arrays cimport real

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
    PIECE = 8            # numbers copied at a time: a loop of known length is one instruction or two


cdef inline void copy_piece(const real* source, real* to) noexcept nogil:
    """PIECE numbers, all read before the first is written: so the compiler need not fear that the two overlap."""
    cdef real piece[PIECE]
    memcpy(piece, source, PIECE * sizeof(real))
    memcpy(to, piece, PIECE * sizeof(real))


cdef inline void copy_run(const real* source, Py_ssize_t length, real* to) noexcept nogil:
    """A copy in pieces; the last one reaches back over numbers that are there already."""
    cdef Py_ssize_t piece, j
    if length < PIECE:
        for j in range(length):
            to[j] = source[j]
        return
    for piece in range(length // PIECE):
        copy_piece(source + piece * PIECE, to + piece * PIECE)
    copy_piece(source + length - PIECE, to + length - PIECE)


cdef void copy_rows(const real* source, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t length, real* to, Py_ssize_t to_step
                    ) noexcept nogil
cdef void copy_plane(const real* image__hw, Py_ssize_t height, Py_ssize_t width, Py_ssize_t y, Py_ssize_t x, Py_ssize_t step_h,
                     Py_ssize_t step_w, Py_ssize_t rows, Py_ssize_t columns, real* plane) noexcept nogil
cdef void transpose(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                    real* to__ki) noexcept nogil
cdef void pack(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, Py_ssize_t count, Py_ssize_t width,
               Py_ssize_t depth, real* packed) noexcept nogil
cdef void copy(Py_ssize_t rows, Py_ssize_t columns, const real* source, Py_ssize_t source_i, Py_ssize_t source_j,
               real* to, Py_ssize_t to_i, Py_ssize_t to_j) noexcept nogil
