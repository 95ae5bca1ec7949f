"""Staging: the zero-padded planes that a sweep reads, one for each remainder of (row, column) divided by the stride.

      row of the image     a b c d e f            stride 2, padding 1: the pixels of even and of odd columns of the
      even columns       0 b d f                  padded row (0 a b c d e f 0), each side by side
      odd columns        a c e 0

The image comes from memory and the planes stay in a cache: what counts is that each row is read once, front to back.
Where a sweep asks for copies, there is a plane for every column of a window instead.
"""

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div
from .packing cimport copy_plane, copy_run
from .sweep cimport Sweep

cdef enum:
    HAND = 16                # numbers that a plane gets at a time: a loop of known length is vector instructions


cdef void stage(Sweep* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, Py_ssize_t row, Py_ssize_t rows,
                real* planes) noexcept nogil:
    """Copy what output rows row..row+rows of some images see into the planes, with zeros around."""
    cdef Py_ssize_t channel, n, t, a, b, i, u, y, low, high
    if s.copies:
        spread(s, group, image, images, row, planes)
        return
    # Columns first..last of the planes of a row lie inside the image, in all of them.
    cdef Py_ssize_t first = smaller(ceil_div(larger(-s.left, 0), s.step_w), s.staged_width)
    cdef Py_ssize_t last = larger(smaller((s.width - s.left) // s.step_w, s.staged_width), first)
    cdef const real* source
    cdef const real* pixels
    cdef real* channel_planes
    cdef real* to
    for n in range(images):
        for channel in range(s.channels):
            source = <const real*>s.source + (((image + n) * s.groups + group) * s.channels + channel) * s.height * s.width
            channel_planes = planes + n * s.staged_image + channel * s.step_h * s.step_w * s.staged_plane
            if s.plain:
                copy_run(source + row * s.width, (rows + s.reach_h) * s.width, channel_planes)
                continue
            if s.step_h == 1 and s.step_w == 1:
                copy_plane(source, s.height, s.width, row + s.top, s.left, 1, 1, rows + s.reach_h, s.staged_width, channel_planes)
                continue
            for t in range(rows + s.reach_h):
                for a in range(s.step_h):
                    y = (row + t) * s.step_h + a + s.top
                    to = channel_planes + a * s.step_w * s.staged_plane + t * s.staged_width
                    if y < 0 or y >= s.height:
                        for b in range(s.step_w):
                            for u in range(s.staged_width):
                                to[b * s.staged_plane + u] = 0
                        continue
                    pixels = source + y * s.width + s.left
                    if s.step_w == 1:
                        copy_run(pixels + first, last - first, to + first)
                    elif s.step_w == 2:
                        deal(pixels + 2 * first, last - first, to + first, s.staged_plane)
                    else:
                        for b in range(s.step_w):
                            for u in range(first, last):
                                to[b * s.staged_plane + u] = pixels[u * s.step_w + b]
                    for b in range(s.step_w):
                        low, high = -s.left - b, s.width - s.left - b
                        for i in range(s.staged_width - (last - first)):
                            u = i if i < first else i + last - first
                            to[b * s.staged_plane + u] = pixels[u * s.step_w + b] if low <= u * s.step_w < high else 0


cdef void spread(const Sweep* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, Py_ssize_t row, real* planes
                 ) noexcept nogil:
    """A plane for every column of a window: so the pixels of all rows follow each other, for each of them."""
    cdef Py_ssize_t channel, n, a, b
    cdef const real* source
    cdef real* to
    for n in range(images):
        to = planes + n * s.staged_image
        for channel in range(s.channels):
            source = <const real*>s.source + (((image + n) * s.groups + group) * s.channels + channel) * s.height * s.width
            for a in range(s.step_h):
                for b in range(s.copies):
                    copy_plane(source, s.height, s.width, row * s.step_h + a + s.top, b + s.left, s.step_h, s.step_w,
                               s.staged_rows, s.staged_width, to)
                    to += s.staged_plane


cdef inline void deal(const real* pixels, Py_ssize_t count, real* to, Py_ssize_t step) noexcept nogil:
    """Pixels to two planes in turn, as cards are dealt, HAND to each at a time; the last hand reaches back."""
    cdef Py_ssize_t hand, u
    cdef int j
    cdef real even[HAND]
    cdef real odd[HAND]
    if count < HAND:
        for u in range(count):
            to[u] = pixels[2 * u]
            to[step + u] = pixels[2 * u + 1]
        return
    for hand in range(ceil_div(count, HAND)):
        u = smaller(hand * HAND, count - HAND)
        for j in range(HAND):
            even[j] = pixels[2 * (u + j)]
            odd[j] = pixels[2 * (u + j) + 1]
        for j in range(HAND):
            to[u + j] = even[j]
        for j in range(HAND):
            to[step + u + j] = odd[j]
