"""Packing: a matrix in the order in which the micro-kernel reads it, k by k.

    A, rows of any strides            a panel of it: for each k the MR numbers that are needed then
      a00 a01 a02 ...                   a00 a10 a20 ... | a01 a11 a21 ... | a02 ...
      a10 a11 a12 ...
      a20 a21 a22 ...

A is packed in panels of MR rows and B in tiles of NR columns by the same code; one is the other transposed.
"""

from libc.string cimport memset

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div, tile_columns

# With loops of known length the squares stay in registers.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    """


cdef void transpose(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                    real* to__ki) noexcept nogil:
    """to[k, i] = a[i, k] for at most SQUARE rows i."""
    if count == SQUARE:
        transpose_rows(a__ik, step, SQUARE, depth, width, to__ki)        # loops of known length, in registers
    else:
        transpose_rows(a__ik, step, count, depth, width, to__ki)


cdef inline void transpose_rows(const real* a__ik, Py_ssize_t step, Py_ssize_t count, Py_ssize_t depth, Py_ssize_t width,
                                real* to__ki) noexcept nogil:
    """Square by square, as cards are shuffled.

    Cut SQUARE * SQUARE numbers in two halves and interleave them: element 0, first of the second half, 1, ... Each
    such perfect shuffle turns the digits of the position (row, column) by one bit; log2(SQUARE) of them exchange
    row and column. A shuffle is a plain loop that the compiler makes vector instructions of.
    """
    cdef real cards[SQUARE * SQUARE]
    cdef real other[SQUARE * SQUARE]
    cdef const real* done
    cdef Py_ssize_t k, i, j, square
    if SQUARE == 16:
        done = cards
    else:
        done = other
    for square in range(depth // SQUARE):
        k = square * SQUARE
        for i in range(count):
            for j in range(SQUARE):
                cards[i * SQUARE + j] = a__ik[i * step + k + j]
        shuffle(cards, other)
        shuffle(other, cards)
        shuffle(cards, other)
        if SQUARE == 16:
            shuffle(other, cards)
        for j in range(SQUARE):
            for i in range(count):
                to__ki[(k + j) * width + i] = done[j * SQUARE + i]
    for k in range(depth // SQUARE * SQUARE, depth):
        for i in range(count):
            to__ki[k * width + i] = a__ik[i * step + k]


cdef inline void shuffle(const real* cards, real* shuffled) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(SQUARE * SQUARE // 2):
        shuffled[2 * i] = cards[i]
        shuffled[2 * i + 1] = cards[SQUARE * SQUARE // 2 + i]


cdef void pack(const real* a, Py_ssize_t step_i, Py_ssize_t step_k, Py_ssize_t count, Py_ssize_t width,
               Py_ssize_t depth, real* packed__ki) noexcept nogil:
    """packed[k, i] = a[i, k]: a panel of A or a tile of B, k by k, filled up with zeros to its width."""
    cdef Py_ssize_t i, k, nr = tile_columns(a)
    cdef const real* row
    cdef real* to
    if step_i == 1 and count == nr and width == nr:
        for k in range(depth):
            row = a + k * step_k
            to = packed__ki + k * nr
            for i in range(nr):
                to[i] = row[i]
        return
    if step_k == 1:
        for k in range(ceil_div(count, SQUARE)):
            i = k * SQUARE
            transpose(a + i * step_i, step_i, smaller(SQUARE, count - i), depth, width, packed__ki + i)
    else:
        for k in range(depth):
            for i in range(count):
                packed__ki[k * width + i] = a[i * step_i + k * step_k]
    for i in range(count, width):
        for k in range(depth):
            packed__ki[k * width + i] = 0


cdef void copy_rows(const real* source, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t length, real* to, Py_ssize_t to_step
                    ) noexcept nogil:
    """Rows of so many numbers, `step` apart, to others that are `to_step` apart; as `copy_run`, with no call for each."""
    cdef Py_ssize_t row, piece, j, pieces = (length - 1) // PIECE
    for row in range(rows):
        if length < PIECE:
            for j in range(length):
                to[j] = source[j]
        else:
            for piece in range(pieces):
                copy_piece(source + piece * PIECE, to + piece * PIECE)
            copy_piece(source + length - PIECE, to + length - PIECE)
        source += step
        to += to_step


cdef inline void inside(Py_ssize_t start, Py_ssize_t step, Py_ssize_t size, Py_ssize_t count, Py_ssize_t* first,
                        Py_ssize_t* last) noexcept nogil:
    """Which of the places start, start + step, ... (so many) lie in 0..size: from `first` to before `last`."""
    first[0] = smaller(ceil_div(larger(-start, 0), step), count)
    last[0] = larger(smaller(ceil_div(larger(size - start, 0), step), count), first[0])


cdef void copy_plane(const real* image__hw, Py_ssize_t height, Py_ssize_t width, Py_ssize_t y, Py_ssize_t x, Py_ssize_t step_h,
                     Py_ssize_t step_w, Py_ssize_t rows, Py_ssize_t columns, real* plane) noexcept nogil:
    """plane[t, u] = image[y + t * step_h, x + u * step_w], and 0 outside the image."""
    cdef Py_ssize_t t, u, top, bottom, first, last, step = step_h * width
    cdef const real* source = image__hw + y * width + x
    inside(y, step_h, height, rows, &top, &bottom)
    inside(x, step_w, width, columns, &first, &last)
    if bottom - top < rows or last - first < columns:
        memset(plane, 0, rows * columns * sizeof(real))      # in the cache: quicker than the borders one by one
    if step_w == 1:
        copy_rows(source + top * step + first, step, bottom - top, last - first, plane + top * columns + first, columns)
    else:
        for t in range(top, bottom):
            for u in range(first, last):
                plane[t * columns + u] = source[t * step + u * step_w]


cdef void copy(Py_ssize_t rows, Py_ssize_t columns, const real* source, Py_ssize_t source_i, Py_ssize_t source_j,
               real* to, Py_ssize_t to_i, Py_ssize_t to_j) noexcept nogil:
    """to[i, j] = source[i, j], with any steps (a step of 0 repeats)."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        if source_j == 1 and to_j == 1:
            for j in range(columns):
                to[i * to_i + j] = source[i * source_i + j]
        else:
            for j in range(columns):
                to[i * to_i + j * to_j] = source[i * source_i + j * source_j]
