# Where the windows of a pooling lie.

cdef struct Axis:
    # A window is the product of two intervals, so two such tables describe all windows: rows, and columns.
    Py_ssize_t size              # windows along this axis
    Py_ssize_t step              # distance of two pixels of a window (the dilation)
    Py_ssize_t* start            # first pixel inside the image
    Py_ssize_t* count            # how many pixels inside the image
    Py_ssize_t* divisor          # how many an average counts


cdef struct Slide:
    # Windows at equal distances, seen along the columns; kernel 0: not that kind of window.
    Py_ssize_t kernel, stride, padding, dilation


cdef int sliding_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride,
                      Py_ssize_t padding, Py_ssize_t dilation, bint include_pad, str where) except -1
cdef int adaptive_axis(Axis* axis, Py_ssize_t n, Py_ssize_t size, str where) except -1


cdef inline Py_ssize_t reach(Slide slide, Py_ssize_t j, Py_ssize_t w, Py_ssize_t* begin, Py_ssize_t* end) noexcept nogil:
    """Pixel j of window k lies in column k * stride + (what is returned). Narrow begin..end to the windows for which
    that is inside an image of width w."""
    cdef Py_ssize_t shift = j * slide.dilation - slide.padding
    cdef Py_ssize_t first = (-shift + slide.stride - 1) // slide.stride if shift < 0 else 0
    cdef Py_ssize_t last = (w - shift + slide.stride - 1) // slide.stride if shift < w else 0
    begin[0] = first if first > begin[0] else begin[0]
    end[0] = last if last < end[0] else end[0]
    return shift
