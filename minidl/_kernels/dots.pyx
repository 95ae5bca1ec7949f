"""The weight gradient of few outputs: dot products of long rows of pixels.

    dw[o, tap] = sum over pixels p of dy[o, p] * x_tap[p]

The tiles of wgrad.pyx hold outputs side by side; a few of them would leave most of a vector register empty. Here the
registers hold pixels. dy is read where it lies. For each column of the kernel x is copied once, OW numbers a row, so that
a tap's pixels, too, follow each other without a gap:

      x                   x_0            x_1            x_2          kernel 3x3: tap (kh, kw) is copy kw
      a b c d e           a b c          b c d          c d e        from row kh on, and
      f g h i j           f g h          g h i          h i j
      k l m n o           k l m          l m n          m n o        dw[kh, kw] = p q r s t u v w y times
      p q r s t           p q r          q r s          r s t        x_kw[kh*OW], x_kw[kh*OW + 1], ...

A few outputs and a few taps make a block: with OUTPUTS x TAPS sums of two registers each, every number that is read is used
several times. The lanes are added up at the very end. What is left of a slab below a whole step is copied beside zeros:
a dot product multiplies only what belongs to it, so that an infinity or NaN stays where it is seen. A stride cuts the
copies into stride planes of every stride-th row; a dilation is only other numbers in the table.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .micro cimport ceil_div
from .packing cimport copy_plane
from .reduce cimport fold_rows
from .scratch cimport give, take
from .threads cimport threads_for
from .wgrad cimport Correlation

cnp.import_array()

# The sums of a block fill the vector registers (32 with AVX-512, else 16), in shapes that the compiler keeps there.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    #if defined(__AVX512F__)
    enum { TAPS = 5, LONE_FLOAT = 9, LONE_DOUBLE = 5, STEP_FLOAT = 32 };
    #elif defined(__AVX2__)
    enum { TAPS = 2, LONE_FLOAT = 9, LONE_DOUBLE = 3, STEP_FLOAT = 16 };
    #else
    enum { TAPS = 2, LONE_FLOAT = 3, LONE_DOUBLE = 3, STEP_FLOAT = 8 };
    #endif
    """
    enum:
        TAPS                 # taps of a block of two outputs,
        LONE_FLOAT           # and where a group has only one
        LONE_DOUBLE
        STEP_FLOAT           # pixels of a step: two registers

cdef enum:
    OUTPUTS = 2              # outputs of a block
    FEW = 8                  # most outputs of a group
    LEAST = 64               # fewest pixels of an image: sums are loaded and stored for each
    MOST_SUMS = 1 << 16      # numbers summed by an item: they fit the L2 cache
    MOST_COPIED = 1 << 18    # numbers copied from x for a slab: they do, about
    FLOPS = 50               # multiplications and additions a nanosecond, to guess what is worth a thread
    PIXELS = 768             # most pixels of a slab, if a row is not longer: those of a block fit the L1 cache
    CHUNK = 8192             # least pixels of an item
    ITEMS = 8                # items to cut the work into, if it is large enough
    BLOCK = 10 * 32          # numbers in the largest block


cdef struct Planes:
    Py_ssize_t rows, plane                   # of a copy of x: for each channel, kernel_w * stride_h copies
    Py_ssize_t slab_rows, bands, chunks
    Py_ssize_t taps, per_block, padded       # taps, those of a block, and rounded up to whole blocks
    Py_ssize_t* off                          # where the pixels of a tap begin
    Py_ssize_t* off_rest                     # the same among the copies of the last pixels


cdef inline Py_ssize_t step_pixels(const real* _) noexcept nogil:
    return STEP_FLOAT if real is float else STEP_FLOAT // 2


cdef inline int lone(const real* _) noexcept nogil:
    return LONE_FLOAT if real is float else LONE_DOUBLE


cdef inline void dots(const real* dy, Py_ssize_t plane, const real* x, const Py_ssize_t* off, Py_ssize_t steps,
                      real* sums__otl, Py_ssize_t ld, real* c, int outputs, int taps) noexcept nogil:
    """sums[o, t, lane] += dy[o, p] * x[off[t] + p] for p = lane, lane + STEP, ...; `outputs`, `taps` are constants."""
    cdef Py_ssize_t width = step_pixels(dy), p, step
    cdef int o, t, j
    for o in range(outputs):
        for t in range(taps):
            for j in range(width):
                c[(o * taps + t) * width + j] = sums__otl[o * ld + t * width + j]
    for step in range(steps):
        p = step * width
        for o in range(outputs):
            for t in range(taps):
                for j in range(width):
                    c[(o * taps + t) * width + j] += dy[o * plane + p + j] * x[off[t] + p + j]
    for o in range(outputs):
        for t in range(taps):
            for j in range(width):
                sums__otl[o * ld + t * width + j] = c[(o * taps + t) * width + j]


cdef void add_blocks(const Correlation* s, const Planes* p, const real* dy, Py_ssize_t plane, const real* x,
                     const Py_ssize_t* off, Py_ssize_t steps, real* sums) noexcept nogil:
    """So many steps of all dot products; plane: from one output of dy to the next."""
    cdef real c[BLOCK]
    cdef Py_ssize_t width = step_pixels(dy), ld = p.padded * width, o, t, block
    for block in range(p.padded // p.per_block):
        t = block * p.per_block
        for o in range(s.outputs // OUTPUTS):
            dots(dy + o * OUTPUTS * plane, plane, x, off + t, steps, sums + o * OUTPUTS * ld + t * width, ld, c, OUTPUTS, TAPS)
        o = s.outputs - 1
        if s.outputs == 1:
            dots(dy, plane, x, off + t, steps, sums + t * width, ld, c, 1, lone(dy))
        elif s.outputs % OUTPUTS:
            dots(dy + o * plane, plane, x, off + t, steps, sums + o * ld + t * width, ld, c, 1, TAPS)


cdef void stage(const Correlation* s, const Planes* p, Py_ssize_t image, Py_ssize_t row, real* copies) noexcept nogil:
    """Rows of x that a slab sees, zeros around: for each channel and kernel column, planes of every stride-th row."""
    cdef Py_ssize_t c, j, a
    cdef const real* x
    for c in range(s.channels):
        x = <const real*>s.source + (image * s.channels + c) * s.height * s.width
        for j in range(s.kernel_w):
            for a in range(s.stride_h):
                copy_plane(x, s.height, s.width, row * s.stride_h + a - s.pad_h, j * s.dilation_w - s.pad_w, s.stride_h,
                           s.stride_w, p.rows, s.grad_w, copies)
                copies += p.plane


cdef void copy_rest(const real* source, Py_ssize_t count, real* to) noexcept nogil:
    """The last numbers of a row, and zeros up to a whole step."""
    cdef Py_ssize_t j
    for j in range(count):
        to[j] = source[j]
    for j in range(count, step_pixels(source)):
        to[j] = 0


cdef void dots_item(const Correlation* s, const Planes* p, Py_ssize_t item, real* x, real* rest, real* sums) noexcept nogil:
    """One chunk of the slabs of one group; sums (outputs, padded taps, lanes)."""
    cdef Py_ssize_t group = item // p.chunks, chunk = item % p.chunks, slabs = s.images * p.bands, slab, image, row, pixels
    cdef Py_ssize_t width = step_pixels(x), plane = s.grad_h * s.grad_w, steps, left, i
    cdef real* rest_dy = rest + p.padded * width
    cdef const real* dy
    for i in range(s.outputs * p.padded * width):
        sums[i] = 0
    for slab in range(chunk * slabs // p.chunks, (chunk + 1) * slabs // p.chunks):
        image = slab // p.bands * s.groups + group
        row = slab % p.bands * p.slab_rows
        pixels = smaller(p.slab_rows, s.grad_h - row) * s.grad_w
        stage(s, p, image, row, x)
        dy = <const real*>s.grad + image * s.outputs * plane + row * s.grad_w
        steps, left = pixels // width, pixels % width
        add_blocks(s, p, dy, plane, x, p.off, steps, sums)
        if left:
            for i in range(p.padded):
                copy_rest(x + p.off[i] + pixels - left, left, rest + i * width)
            for i in range(s.outputs):
                copy_rest(dy + i * plane + pixels - left, left, rest_dy + i * width)
            add_blocks(s, p, rest_dy, width, rest, p.off_rest, 1, sums)


cdef void add_up(const Correlation* s, const Planes* p, Py_ssize_t group, Py_ssize_t o, real* sums, Py_ssize_t size
                 ) noexcept nogil:
    """Add the chunks, in order, and then the lanes, for one output."""
    cdef Py_ssize_t width = step_pixels(sums), chunk, i
    cdef real* own = sums + group * p.chunks * size + o * p.padded * width
    for chunk in range(1, p.chunks):
        for i in range(p.taps * width):
            own[i] += own[chunk * size + i]
    fold_rows(own, width, <real*>s.result + (group * s.outputs + o) * p.taps, p.taps)


cdef bint suits_dots(const Correlation* s, const real* model) noexcept:
    """Whether the outputs are few, the sums long, and the copies of x not too many."""
    cdef Py_ssize_t sums = s.outputs * s.channels * s.kernel_h * s.kernel_w * step_pixels(model)
    cdef double rows = <double>larger(PIXELS, s.grad_w) * s.stride_h + <double>s.grad_w * (s.kernel_h - 1) * s.dilation_h
    return s.outputs <= FEW and s.grad_h * s.grad_w >= LEAST and sums <= MOST_SUMS \
        and rows * s.channels * s.kernel_w <= MOST_COPIED


cdef void correlate_dots(Correlation* s, const real* model) except *:
    """Compute the result. The caller has filled in all but the last fields of s."""
    cdef Planes p
    cdef Py_ssize_t width = step_pixels(model), tap, c, i, j, item, items, r
    p.slab_rows = larger(1, smaller(s.grad_h, PIXELS // s.grad_w))
    p.bands = ceil_div(s.grad_h, p.slab_rows)
    p.slab_rows = ceil_div(s.grad_h, p.bands)
    p.bands = ceil_div(s.grad_h, p.slab_rows)
    p.rows = p.slab_rows + (s.kernel_h - 1) * s.dilation_h // s.stride_h
    p.plane = p.rows * s.grad_w
    p.taps = s.channels * s.kernel_h * s.kernel_w
    p.per_block = lone(model) if s.outputs == 1 else TAPS
    p.padded = ceil_div(p.taps, p.per_block) * p.per_block
    p.chunks = smaller(s.images * p.bands, s.images * s.grad_h * s.grad_w // CHUNK)
    p.chunks = larger(1, smaller(ceil_div(ITEMS, s.groups), p.chunks))
    items = s.groups * p.chunks
    cdef int threads = threads_for(2 * s.images * s.grad_h * s.grad_w * s.groups * s.outputs * p.taps // FLOPS)
    cdef Py_ssize_t size_x = ceil_div(s.channels * s.kernel_w * s.stride_h * p.plane, width) * width
    cdef Py_ssize_t size_own = size_x + (p.padded + s.outputs) * width
    cdef Py_ssize_t size_sums = s.outputs * p.padded * width
    p.off = <Py_ssize_t*>take(2 * p.padded * sizeof(Py_ssize_t))
    p.off_rest = p.off + p.padded
    cdef real* sums
    try:
        sums = <real*>take((items * size_sums + threads * size_own) * sizeof(real))
    except MemoryError:
        give(p.off)
        raise
    cdef real* own = sums + items * size_sums
    for tap in range(p.padded):
        p.off_rest[tap] = tap * width
        p.off[tap] = 0           # the last block is filled up with taps that no one asks for
    for c in range(s.channels):
        for i in range(s.kernel_h):
            for j in range(s.kernel_w):
                p.off[(c * s.kernel_h + i) * s.kernel_w + j] = ((c * s.kernel_w + j) * s.stride_h
                    + i * s.dilation_h % s.stride_h) * p.plane + i * s.dilation_h // s.stride_h * s.grad_w
    with nogil:
        for item in prange(items, num_threads=threads, schedule="dynamic"):
            dots_item(s, &p, item, own + threadid() * size_own, own + threadid() * size_own + size_x,
                      sums + item * size_sums)
        for r in prange(s.groups * s.outputs, num_threads=threads_for(items * size_sums // 8), schedule="static"):
            add_up(s, &p, r // s.outputs, r % s.outputs, sums, size_sums)
    give(sums)
    give(p.off)
