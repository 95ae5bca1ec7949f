"""The weight gradient: a micro-kernel whose sums run over pixels.

    dw[o, (c, kh, kw)] = sum over pixels p of dy[o, p] * x[c, p shifted by (kh, kw)]

Each row of a tile is one tap of one channel, its columns are outputs:

             outputs --->      dy of pixel p: NR outputs side by side, packed from NR planes
                          .-------------------
      x[row[0] + at[p]]   |  s s s s s ... s       s[i, j] += x[row[i] + at[p]] * dy[p, j]
      x[row[1] + at[p]]   |  s s s s s ... s
      x[row[2] + at[p]]   |  s s s s s ... s       x is never packed: two tables say where a pixel is for each tap

      at[p]  = oh*stride*W + ow*stride                       where the window of pixel p begins
      row[i] = c*plane + kh*dilation*W + kw*dilation         where tap i is in a window

Without padding x is read where it lies; with padding from a copy with zeros around. Only dy is packed.

The sum over all pixels is cut into slabs, and these into a fixed number of chunks: so few channels can keep several
threads busy, and the order of the sum is the same for any number of threads.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .micro cimport TILE, ceil_div, panel_height, tile_columns, tile_rows
from .packing cimport SQUARE, copy_plane, pack, transpose
from .scratch cimport give, take
from .threads cimport threads_for

cnp.import_array()

# The tile of micro.pyx, and where the compiler makes good code of it a narrower one, for few outputs.
cdef extern from *:
    """
    #if defined(__GNUC__)
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    #endif
    #if defined(__AVX512F__)
    enum { NARROW_FLOAT = 16, NARROW_DOUBLE = 16, NARROW_ROWS = 8 };
    #elif defined(__AVX2__)
    enum { NARROW_FLOAT = 16, NARROW_DOUBLE = 0, NARROW_ROWS = 6 };
    #else
    enum { NARROW_FLOAT = 0, NARROW_DOUBLE = 0, NARROW_ROWS = 0 };
    #endif
    """
    enum:
        NARROW_FLOAT
        NARROW_DOUBLE
        NARROW_ROWS

cdef enum:
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread
    PIXELS = 400             # most pixels of a slab, if a row is not longer
    FEW_ROWS = 36            # up to so many taps and channels the time goes into reading dy: longer runs of it,
    FEW_PIXELS = 1000        # in slabs of so many
    SUMS = 1 << 18           # numbers summed by an item: about what fits the L2 cache
    ITEMS = 8                # items to cut the work into, if it is large enough
    KEPT = 3 << 17           # most numbers summed by all chunks: to add them up takes time, too
    CHUNK = 1024             # least pixels of an item


cdef inline Py_ssize_t narrow(const real* _) noexcept nogil:
    return NARROW_FLOAT if real is float else NARROW_DOUBLE


cdef inline void micro(const real* x, const Py_ssize_t* row, const Py_ssize_t* at, Py_ssize_t depth, const real* dy__pj,
                       real* sums__ij, Py_ssize_t ld, bint accumulate, real* c, int rows, int nr) noexcept nogil:
    """sums[i, j] = sum over p of x[row[i] + at[p]] * dy[p, j]; `rows` and `nr` are constants at each call."""
    cdef Py_ssize_t p
    cdef int i, j
    if accumulate:
        for i in range(rows):
            for j in range(nr):
                c[i * nr + j] = sums__ij[i * ld + j]
    else:
        for i in range(rows * nr):
            c[i] = 0
    for p in range(depth):
        for i in range(rows):
            for j in range(nr):
                c[i * nr + j] += x[row[i] + at[p]] * dy__pj[p * nr + j]
    for i in range(rows):
        for j in range(nr):
            sums__ij[i * ld + j] = c[i * nr + j]


cdef void add_tile(const real* x, const Py_ssize_t* row, const Py_ssize_t* at, Py_ssize_t depth, const real* dy,
                   real* sums, Py_ssize_t ld, bint accumulate, Py_ssize_t rows) noexcept nogil:
    """The micro-kernel for so many rows of NR columns."""
    cdef int nr = tile_columns(x)
    cdef Py_ssize_t most = tile_rows(x)          # a constant: branches beyond it cost nothing
    cdef real c[TILE]
    if rows == 2:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 2, nr)
    elif rows == 3 and most >= 3:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 3, nr)
    elif rows == 4 and most >= 4:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 4, nr)
    elif rows == 5 and most >= 5:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 5, nr)
    elif rows == 6 and most >= 6:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 6, nr)
    elif rows == 7 and most >= 7:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 7, nr)
    elif rows == 8 and most >= 8:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 8, nr)
    elif rows == 9 and most >= 9:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 9, nr)
    elif rows == 10 and most >= 10:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 10, nr)
    elif rows == 11 and most >= 11:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 11, nr)
    elif rows == 12 and most >= 12:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 12, nr)


cdef void add_narrow_tile(const real* x, const Py_ssize_t* row, const Py_ssize_t* at, Py_ssize_t depth, const real* dy,
                          real* sums, Py_ssize_t ld, bint accumulate, Py_ssize_t rows) noexcept nogil:
    cdef int nr = narrow(x)
    cdef real c[TILE]
    if rows == 2 and NARROW_ROWS >= 2:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 2, nr)
    elif rows == 3 and NARROW_ROWS >= 3:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 3, nr)
    elif rows == 4 and NARROW_ROWS >= 4:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 4, nr)
    elif rows == 5 and NARROW_ROWS >= 5:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 5, nr)
    elif rows == 6 and NARROW_ROWS >= 6:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 6, nr)
    elif rows == 7 and NARROW_ROWS >= 7:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 7, nr)
    elif rows == 8 and NARROW_ROWS >= 8:
        micro(x, row, at, depth, dy, sums, ld, accumulate, c, 8, nr)


cdef void stage(Correlation* s, const real* x, Py_ssize_t channels, Py_ssize_t row, Py_ssize_t rows, real* to
                ) noexcept nogil:
    """What output rows row..row+rows of an image see, with zeros around, for some channels."""
    cdef Py_ssize_t c
    for c in range(channels):
        copy_plane(x + c * s.height * s.width, s.height, s.width, row * s.stride_h - s.pad_h, -s.pad_w, 1, 1,
                   (rows - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1, s.x_width, to + c * s.x_plane)


cdef void pack_grad(Correlation* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, Py_ssize_t row,
                    Py_ssize_t rows, Py_ssize_t o, real* tile) noexcept nogil:
    """dy of a slab for the outputs from o on, pixel by pixel."""
    cdef Py_ssize_t n, pixels = rows * s.grad_w, plane = s.grad_h * s.grad_w
    for n in range(images):
        pack(<const real*>s.grad + (((image + n) * s.groups + group) * s.outputs + o) * plane + row * s.grad_w, plane, 1,
             smaller(s.lanes, s.outputs - o), s.lanes, pixels, tile + n * pixels * s.lanes)


cdef void collect(Correlation* s, Py_ssize_t group, Py_ssize_t block, Py_ssize_t i, Py_ssize_t o, Py_ssize_t outputs,
                  real* sums, Py_ssize_t size_sums) noexcept nogil:
    """Add the chunks, in order, and turn (taps, outputs) into (outputs, taps): taps from i on, outputs from o on."""
    cdef Py_ssize_t taps = s.kernel_h * s.kernel_w, first = block * s.channels // s.blocks * taps
    cdef Py_ssize_t count = smaller((block + 1) * s.channels // s.blocks * taps - first - i, SQUARE), chunk, j
    cdef const real* other
    if count <= 0:
        return
    sums += i * s.ld
    for chunk in range(1, s.chunks):
        other = sums + chunk * size_sums
        for j in range(count * s.ld):
            sums[j] += other[j]
    transpose(<const real*>sums + o, s.ld, count, outputs, s.channels * taps,
              <real*>s.result + (group * s.outputs + o) * s.channels * taps + first + i)


cdef void correlate_item(Correlation* s, Py_ssize_t item, const Py_ssize_t* at, const Py_ssize_t* row_at, real* planes,
                         real* tile, real* sums) noexcept nogil:
    """One chunk of the slabs, for one block of channels."""
    cdef Py_ssize_t bands = ceil_div(s.grad_h, s.slab_rows), slabs = ceil_div(s.images, s.slab_images) * bands
    cdef Py_ssize_t chunk = item % s.chunks, block = item // s.chunks % s.blocks, group = item // s.chunks // s.blocks
    cdef Py_ssize_t first = block * s.channels // s.blocks, channels = (block + 1) * s.channels // s.blocks - first
    cdef Py_ssize_t terms = channels * s.kernel_h * s.kernel_w, panels = ceil_div(terms, s.panel)
    cdef Py_ssize_t start = chunk * slabs // s.chunks, slab, image, images, row, rows, n
    cdef Py_ssize_t column, o, panel, i, count
    cdef Py_ssize_t twice[2]
    cdef const Py_ssize_t* taps
    cdef const real* x
    for slab in range(start, (chunk + 1) * slabs // s.chunks):
        image = slab // bands * s.slab_images
        images = smaller(s.slab_images, s.images - image)
        row = slab % bands * s.slab_rows
        rows = smaller(s.slab_rows, s.grad_h - row)
        x = <const real*>s.source + ((image * s.groups + group) * s.channels + first) * s.height * s.width
        if s.staged:
            for n in range(images):
                stage(s, x + n * s.groups * s.channels * s.height * s.width, channels, row, rows, planes + n * s.x_image)
            x = planes
        else:
            x += row * s.stride_h * s.x_width
        for column in range(s.ld // s.lanes):
            o = column * s.lanes
            pack_grad(s, group, image, images, row, rows, o, tile)
            for panel in range(panels):
                i = panel * s.panel
                count = smaller(s.panel, terms - i)
                taps = row_at + i
                if count == 1:                   # the micro-kernel wants two rows
                    twice[0] = twice[1] = row_at[i]
                    taps, count = twice, 2
                if s.lanes == tile_columns(x):
                    add_tile(x, taps, at, images * rows * s.grad_w, tile, sums + i * s.ld + o, s.ld,
                             slab > start, count)
                else:
                    add_narrow_tile(x, taps, at, images * rows * s.grad_w, tile, sums + i * s.ld + o, s.ld,
                                    slab > start, count)
    if s.chunks == 1:
        for column in range(ceil_div(s.outputs, SQUARE)):
            o = column * SQUARE
            for i in range(ceil_div(terms, SQUARE)):
                collect(s, group, block, i * SQUARE, o, smaller(SQUARE, s.outputs - o), sums, 0)


cdef void cut(Correlation* s, const real* model) noexcept:
    """Decide how the work is cut into items; by its sizes alone, never by the number of threads."""
    cdef Py_ssize_t nr = tile_columns(model), most = narrow(model), taps = s.kernel_h * s.kernel_w, slabs, rows
    cdef Py_ssize_t pixels = FEW_PIXELS if s.channels * taps <= FEW_ROWS else PIXELS
    s.lanes = nr
    if most and ceil_div(s.outputs, most) * most < ceil_div(s.outputs, nr) * nr:
        s.lanes = most
    s.ld = ceil_div(s.outputs, s.lanes) * s.lanes
    s.blocks = ceil_div(s.channels * taps * s.ld, SUMS)
    s.blocks = smaller(s.blocks + s.blocks % 2 if s.blocks > 1 else 1, s.channels)     # even: two threads are common
    s.slab_rows = larger(1, smaller(pixels // s.grad_w, s.grad_h))
    s.slab_rows = ceil_div(s.grad_h, ceil_div(s.grad_h, s.slab_rows))
    s.slab_images = 1
    if s.slab_rows == s.grad_h:
        s.slab_images = larger(1, smaller(s.images, pixels // (s.grad_h * s.grad_w)))
    s.slab_images = ceil_div(s.images, ceil_div(s.images, s.slab_images))
    slabs = ceil_div(s.images, s.slab_images) * ceil_div(s.grad_h, s.slab_rows)
    s.chunks = smaller(ceil_div(ITEMS, s.groups * s.blocks), s.images * s.grad_h * s.grad_w // CHUNK)
    s.chunks = smaller(smaller(s.chunks, slabs), larger(2, KEPT // (s.channels * taps * s.ld)))
    s.chunks = s.chunks - s.chunks % 2 if s.chunks > 1 else 1          # even, too
    s.staged = s.pad_h > 0 or s.pad_w > 0
    s.x_width, s.x_plane, s.x_image = s.width, s.height * s.width, s.groups * s.channels * s.height * s.width
    if s.staged:
        s.x_width = (s.grad_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1
        s.x_plane = s.x_width * ((s.slab_rows - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1)
        s.x_image = ceil_div(s.channels, s.blocks) * s.x_plane
    rows = ceil_div(s.channels, s.blocks) * taps
    if s.lanes == nr:
        s.panel = larger(panel_height(rows, model), 2)
    else:
        s.panel = larger(ceil_div(rows, ceil_div(rows, NARROW_ROWS)), 2)


cdef void tabulate(Py_ssize_t* table, Py_ssize_t planes, Py_ssize_t plane, Py_ssize_t rows, Py_ssize_t row, Py_ssize_t columns,
                   Py_ssize_t column) noexcept:
    """table[n, t, u] = n * plane + t * row + u * column"""
    cdef Py_ssize_t n, t, u
    for n in range(planes):
        for t in range(rows):
            for u in range(columns):
                table[u] = n * plane + t * row + u * column
            table += columns


cdef void correlate(Correlation* s, const real* model) except *:
    """Compute the result. The caller has filled in all but the last fields of s."""
    cut(s, model)
    cdef Py_ssize_t items = s.groups * s.blocks * s.chunks, taps = s.kernel_h * s.kernel_w
    cdef Py_ssize_t pixels = s.slab_images * s.slab_rows * s.grad_w, rows = ceil_div(s.channels, s.blocks) * taps
    cdef Py_ssize_t pieces = ceil_div(rows, SQUARE), r, item
    cdef int threads = threads_for(2 * s.images * s.grad_h * s.grad_w * s.groups * s.ld * s.channels * taps // FLOPS)
    cdef Py_ssize_t size_planes = ceil_div(s.slab_images * s.x_image, s.lanes) * s.lanes if s.staged else 0
    cdef Py_ssize_t size_own = size_planes + pixels * s.lanes, size_sums = (rows + 1) * s.ld
    cdef Py_ssize_t kept = items if s.chunks > 1 else threads        # how many sums are kept
    cdef Py_ssize_t* at = <Py_ssize_t*>take((pixels + rows) * sizeof(Py_ssize_t))
    cdef Py_ssize_t* row_at = at + pixels
    cdef real* sums
    try:
        sums = <real*>take((kept * size_sums + threads * size_own) * sizeof(real))
    except MemoryError:
        give(at)
        raise
    cdef real* own = sums + kept * size_sums
    tabulate(at, s.slab_images, s.x_image, s.slab_rows, s.stride_h * s.x_width, s.grad_w, s.stride_w)
    tabulate(row_at, rows // taps, s.x_plane, s.kernel_h, s.dilation_h * s.x_width, s.kernel_w, s.dilation_w)
    with nogil:
        for item in prange(items, num_threads=threads, schedule="dynamic"):
            correlate_item(s, item, at, row_at, own + threadid() * size_own, own + threadid() * size_own + size_planes,
                           sums + (item if s.chunks > 1 else threadid()) * size_sums)
        if s.chunks > 1:
            for r in prange(s.groups * s.blocks * pieces, num_threads=threads, schedule="static"):
                collect(s, r // pieces // s.blocks, r // pieces % s.blocks, r % pieces * SQUARE, 0, s.outputs,
                        sums + r // pieces * s.chunks * size_sums, size_sums)
    give(sums)
    give(at)
