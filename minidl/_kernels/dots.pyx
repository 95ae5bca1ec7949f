"""The weight gradient where a group has few channels: long dot products instead of a product of matrices.

    dw[o, tap] = sum over q of dy[o, q] * x[q + off[tap]]

Matrices as in wgrad.pyx would have to be packed from runs of KW*C numbers, too short to be copied fast. Here nothing is
packed. Both images lie in planes of the same width PW, and the columns that dy lacks are zeros:

      x, padded           dy                      off = kh*PW + kw
      a b c d e           p q r 0 0
      f g h i j           s t u 0 0               dw[kh, kw] = p q r 0 0 s t u 0 0 ... times x from off[kh, kw] on
      k l m n o           v w y 0 0

A few outputs and a few taps make a block: with OUTPUTS x TAPS sums of LANES numbers each in registers, every number
that is read is used several times. The lanes are added up at the very end. A stride cuts x into stride*stride planes, as in
sweep.pyx; a dilation is only other numbers in the table.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .gemm cimport ceil_div
from .scratch cimport give, take
from .threads cimport threads_for
from .wgrad cimport Correlation

cnp.import_array()

# A block's sums fill the vector registers: 32 of 16 floats with AVX-512, else 16 of 8 or 4.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    #if defined(__AVX512F__)
    enum { OUTPUTS = 6, TAPS = 4, LONE = 9, REGISTER = 64 };
    #elif defined(__AVX2__)
    enum { OUTPUTS = 4, TAPS = 2, LONE = 9, REGISTER = 32 };
    #else
    enum { OUTPUTS = 4, TAPS = 2, LONE = 9, REGISTER = 16 };
    #endif
    """
    enum:
        OUTPUTS              # outputs of a block
        TAPS                 # taps of a block,
        LONE                 # or if it is about one output
        REGISTER             # bytes

cdef enum:
    FLOPS = 50               # multiplications and additions a nanosecond, to guess what is worth a thread
    PIXELS = 768             # most pixels of a slab, if a row is not longer: those of a block fit the L1 cache
    CHUNK = 8192             # least pixels of an item
    ITEMS = 8                # items to cut the work into, if it is large enough
    LANES = 16               # no more numbers are in a register


cdef struct Planes:
    Py_ssize_t step, width, rows, plane      # of x as it is staged
    Py_ssize_t slab_rows, bands, chunks
    Py_ssize_t taps, per_block, padded       # taps, those of a block, and rounded up to whole blocks
    Py_ssize_t dy                            # numbers of an output in a staged slab
    Py_ssize_t* off


cdef inline Py_ssize_t lanes(const real* _) noexcept nogil:
    return REGISTER // sizeof(real)


cdef inline void dots(const real* dy, Py_ssize_t step, const real* x, const Py_ssize_t* off, Py_ssize_t pixels,
                      real* sums__otl, Py_ssize_t ld, real* c, int outputs, int taps) noexcept nogil:
    """sums[o, t, lane] += dy[o, q] * x[off[t] + q] for q = lane, lane + LANES, ...; `outputs`, `taps` are constants."""
    cdef Py_ssize_t width = lanes(dy), q, step_q
    cdef int o, t, j
    for o in range(outputs):
        for t in range(taps):
            for j in range(width):
                c[(o * taps + t) * width + j] = sums__otl[o * ld + t * width + j]
    for step_q in range(pixels // width):
        q = step_q * width
        for o in range(outputs):
            for t in range(taps):
                for j in range(width):
                    c[(o * taps + t) * width + j] += dy[o * step + q + j] * x[off[t] + q + j]
    for o in range(outputs):
        for t in range(taps):
            for j in range(width):
                sums__otl[o * ld + t * width + j] = c[(o * taps + t) * width + j]


cdef void add_block(const real* dy, Py_ssize_t step, const real* x, const Py_ssize_t* off, Py_ssize_t pixels,
                    real* sums, Py_ssize_t ld, Py_ssize_t outputs) noexcept nogil:
    cdef real c[OUTPUTS * TAPS * LANES]
    if outputs == 1:
        dots(dy, step, x, off, pixels, sums, ld, c, 1, LONE)
    elif outputs == 2:
        dots(dy, step, x, off, pixels, sums, ld, c, 2, TAPS)
    elif outputs == 3:
        dots(dy, step, x, off, pixels, sums, ld, c, 3, TAPS)
    elif outputs == 4:
        dots(dy, step, x, off, pixels, sums, ld, c, 4, TAPS)
    elif outputs == 5 and OUTPUTS >= 5:
        dots(dy, step, x, off, pixels, sums, ld, c, 5, TAPS)
    elif outputs == 6 and OUTPUTS >= 6:
        dots(dy, step, x, off, pixels, sums, ld, c, 6, TAPS)


cdef void stage_x(const Correlation* s, const Planes* p, Py_ssize_t image, Py_ssize_t row, real* planes) noexcept nogil:
    """Rows of x that a slab sees, zeros around; plane (a, b) of a channel has the pixels (a + stride*t, b + stride*u)."""
    cdef Py_ssize_t c, a, b, t, u, y, x, first, last
    cdef const real* source
    cdef real* to = planes
    for c in range(s.channels):
        for a in range(s.stride_h):
            for b in range(s.stride_w):
                for t in range(p.rows):
                    y = (row + t) * s.stride_h + a - s.pad_h
                    source = <const real*>s.source + ((image * s.channels + c) * s.height + y) * s.width
                    if y < 0 or y >= s.height:
                        for u in range(p.width):
                            to[u] = 0
                    elif s.stride_w == 1:
                        first = smaller(s.pad_w, p.width)    # columns first..last lie inside the image
                        last = larger(first, smaller(s.width + s.pad_w, p.width))
                        for u in range(first):
                            to[u] = 0
                        for u in range(first, last):
                            to[u] = source[u - s.pad_w]
                        for u in range(last, p.width):
                            to[u] = 0
                    else:
                        for u in range(p.width):
                            x = u * s.stride_w + b - s.pad_w
                            to[u] = source[x] if 0 <= x < s.width else 0
                    to += p.width


cdef void stage_dy(const Correlation* s, const Planes* p, Py_ssize_t image, Py_ssize_t row, Py_ssize_t rows, real* to
                   ) noexcept nogil:
    """Rows of dy, with zeros up to the width of x's planes and at the end."""
    cdef Py_ssize_t o, t, u
    cdef const real* source
    for o in range(s.outputs):
        source = <const real*>s.grad + ((image * s.outputs + o) * s.grad_h + row) * s.grad_w
        for t in range(rows):
            for u in range(s.grad_w):
                to[t * p.width + u] = source[t * s.grad_w + u]
            for u in range(s.grad_w, p.width):
                to[t * p.width + u] = 0
        for u in range(rows * p.width, p.dy):
            to[u] = 0
        to += p.dy


cdef void dots_item(const Correlation* s, const Planes* p, Py_ssize_t item, real* x, real* dy, real* sums) noexcept nogil:
    """One chunk of the slabs of one group; sums (outputs, padded taps, lanes)."""
    cdef Py_ssize_t group = item // p.chunks, chunk = item % p.chunks, slabs = s.images * p.bands, slab, image, row, rows
    cdef Py_ssize_t blocks = ceil_div(s.outputs, OUTPUTS), width = lanes(x), ld = p.padded * width, i, o, t, pixels
    for i in range(s.outputs * ld):
        sums[i] = 0
    for slab in range(chunk * slabs // p.chunks, (chunk + 1) * slabs // p.chunks):
        image = slab // p.bands * s.groups + group
        row = slab % p.bands * p.slab_rows
        rows = smaller(p.slab_rows, s.grad_h - row)
        pixels = ceil_div(rows * p.width, width) * width
        stage_x(s, p, image, row, x)
        stage_dy(s, p, image, row, rows, dy)
        for i in range(blocks):
            o = i * s.outputs // blocks
            for t in range(p.padded // p.per_block):
                add_block(dy + o * p.dy, p.dy, x, p.off + t * p.per_block, pixels,
                          sums + o * ld + t * p.per_block * width, ld, (i + 1) * s.outputs // blocks - o)


cdef void add_up(const Correlation* s, const Planes* p, Py_ssize_t group, Py_ssize_t o, const real* sums, Py_ssize_t size
                 ) noexcept nogil:
    """Add the chunks, in order, and then the lanes, for one output."""
    cdef Py_ssize_t tap, chunk, lane, width = lanes(sums)
    cdef const real* source
    cdef real total
    for tap in range(p.taps):
        total = 0
        for chunk in range(p.chunks):
            source = sums + (group * p.chunks + chunk) * size + (o * p.padded + tap) * width
            for lane in range(width):
                total += source[lane]
        (<real*>s.result)[(group * s.outputs + o) * p.taps + tap] = total


cdef bint suits_dots(const Correlation* s) noexcept:
    """Whether the sums are long, and packing few channels would take longer than the arithmetic on few outputs."""
    return s.channels <= 3 and s.grad_w >= 8 and s.outputs <= 8       # measured


cdef void correlate_dots(Correlation* s, const real* model) except *:
    """Compute the result. The caller has filled in all but the last fields of s."""
    cdef Planes p
    cdef Py_ssize_t width = lanes(model), tap, c, i, j, at_h, at_w, item, items, r
    cdef Py_ssize_t reach_h = (s.kernel_h - 1) * s.dilation_h // s.stride_h
    p.step = s.stride_h * s.stride_w
    p.width = s.grad_w + (s.kernel_w - 1) * s.dilation_w // s.stride_w
    p.slab_rows = larger(1, smaller(s.grad_h, PIXELS // p.width))
    p.bands = ceil_div(s.grad_h, p.slab_rows)
    p.slab_rows = ceil_div(s.grad_h, p.bands)
    p.bands = ceil_div(s.grad_h, p.slab_rows)
    p.rows = p.slab_rows + reach_h
    p.plane = p.rows * p.width
    p.taps = s.channels * s.kernel_h * s.kernel_w
    p.per_block = LONE if s.outputs == 1 else TAPS
    p.padded = ceil_div(p.taps, p.per_block) * p.per_block
    p.dy = ceil_div(p.slab_rows * p.width, width) * width
    p.chunks = smaller(s.images * p.bands, s.images * s.grad_h * s.grad_w // CHUNK)
    p.chunks = larger(1, smaller(ceil_div(ITEMS, s.groups), p.chunks))
    items = s.groups * p.chunks
    cdef int threads = threads_for(2 * s.images * s.grad_h * s.grad_w * s.groups * s.outputs * p.taps // FLOPS)
    cdef Py_ssize_t size_x = ceil_div(s.channels * p.step * p.plane, LANES) * LANES + p.width + 2 * LANES
    cdef Py_ssize_t size_own = ceil_div(size_x + s.outputs * p.dy, LANES) * LANES
    cdef Py_ssize_t size_sums = s.outputs * p.padded * width
    p.off = <Py_ssize_t*>take(p.padded * sizeof(Py_ssize_t))
    cdef real* sums
    try:
        sums = <real*>take((items * size_sums + threads * size_own) * sizeof(real))
    except MemoryError:
        give(p.off)
        raise
    cdef real* own = sums + items * size_sums
    for i in range(threads * size_own):          # what is read beyond a plane must be numbers: 0 * NaN would be seen
        own[i] = 0
    for tap in range(p.padded):
        c, i, j = tap // (s.kernel_h * s.kernel_w), tap // s.kernel_w % s.kernel_h, tap % s.kernel_w
        at_h, at_w = i * s.dilation_h, j * s.dilation_w
        p.off[tap] = 0
        if tap < p.taps:                         # the last block is filled up with taps that no one asks for
            p.off[tap] = ((c * s.stride_h + at_h % s.stride_h) * s.stride_w + at_w % s.stride_w) * p.plane \
                + at_h // s.stride_h * p.width + at_w // s.stride_w
    with nogil:
        for item in prange(items, num_threads=threads, schedule="dynamic"):
            dots_item(s, &p, item, own + threadid() * size_own, own + threadid() * size_own + size_x,
                      sums + item * size_sums)
        for r in prange(s.groups * s.outputs, num_threads=threads, schedule="static"):
            add_up(s, &p, r // s.outputs, r % s.outputs, <const real*>sums, size_sums)
    give(sums)
    give(p.off)
