"""The weight gradient: the micro-kernel once more, now with the pixels as the terms of its sums.

    dw[o, (kh, kw, c)] = sum over pixels p of dy[o, p] * x[p shifted by (kh, kw), c]

A is dy, a panel of outputs stored pixel by pixel. The rows of B belong to pixels: row p begins where pixel p lies in a
*channels-last* copy of the padded image, and the columns run over what follows it there:

      x padded, channels last, C = 3:     p ->  r g b r g b r g b . . .     taps (kh, 0), (kh, 1), (kh, 2)
                                          p+1 ->      r g b r g b r g b     the same for the next pixel
                                                    '---- KW*C ----'

so the KW*C columns of a kernel row are neighbours in memory, tiles are read in place, and stride and dilation are only
numbers in the two tables: ``off[p] = (oh*stride*PW + ow*stride)*C`` and, where a kernel row begins, ``kh*dilation*PW*C``.
Where a kernel row is much shorter than a tile (few channels), the columns of all kernel rows are packed side by side.

The sum over all pixels is cut into slabs, and these into a fixed number of chunks: so few channels can keep several
threads busy, and the order of the sum is the same for any number of threads.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .gemm cimport KC, TILE, ceil_div, multiply_tile, pack, padded_height, tile_columns, tile_rows
from .scratch cimport give, take
from .sweep cimport Segment, pack_pixels
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread
    STAGED = 1 << 16         # numbers in the staged planes of a slab: they fit the L2 cache
    PIXELS = 1024            # most pixels of a slab
    BLOCK = 64               # most channels of an item
    ITEMS = 8                # items to cut the work into, if it is large enough
    SEGMENTS = 32            # most runs in a tile


cdef void stage(Correlation* s, Py_ssize_t group, Py_ssize_t channel, Py_ssize_t channels, Py_ssize_t image,
                Py_ssize_t images, Py_ssize_t row, real* planes) noexcept nogil:
    """The rows that a slab sees, with zeros around, channels last."""
    cdef Py_ssize_t n, t, y, i, first, last
    cdef const real* source
    cdef real* to
    first = smaller(s.pad_w, s.staged_width)             # columns first..last lie inside the image
    last = larger(smaller(s.width + s.pad_w, s.staged_width), first)
    for n in range(images):
        source = <const real*>s.source + (((image + n) * s.groups + group) * s.channels + channel) * s.height * s.width
        for t in range(s.staged_rows):
            to = planes + (n * s.staged_rows + t) * s.staged_width * channels
            y = row * s.stride_h + t - s.pad_h
            if y < 0 or y >= s.height:
                for i in range(s.staged_width * channels):
                    to[i] = 0
                continue
            for i in range(first * channels):
                to[i] = 0
            pack(source + y * s.width + first - s.pad_w, s.height * s.width, 1, channels, channels, last - first,
                 to + first * channels)
            for i in range(last * channels, s.staged_width * channels):
                to[i] = 0


cdef void pack_grad(Correlation* s, Py_ssize_t group, Py_ssize_t image, Py_ssize_t images, Py_ssize_t row,
                    Py_ssize_t rows, real* panels) noexcept nogil:
    """dy of a slab as panels of outputs, pixel by pixel."""
    cdef Py_ssize_t o, n, count, width, pixels = rows * s.grad_w, plane = s.grad_h * s.grad_w
    for o in range(ceil_div(s.outputs, s.panel)):
        count = smaller(s.panel, s.outputs - o * s.panel)
        width = padded_height(count, 2)
        for n in range(images):
            pack(<const real*>s.grad + (((image + n) * s.groups + group) * s.outputs + o * s.panel) * plane
                 + row * s.grad_w, plane, 1, count, width, pixels,
                 panels + o * s.panel * images * pixels + n * pixels * width)


cdef Py_ssize_t find_runs(Correlation* s, const Py_ssize_t* runs, Py_ssize_t first, Py_ssize_t count, Segment* segments
                          ) noexcept nogil:
    """Columns first..first+count, packed without gaps, as pieces of runs; returns how many."""
    cdef Py_ssize_t run = first // s.run, at = first % s.run, done = 0, found = 0
    while done < count:
        segments[found].first = done
        segments[found].length = smaller(count - done, s.run - at)
        segments[found].source = runs[run] + at
        done += segments[found].length
        found += 1
        run += 1
        at = 0
    return found


cdef void correlate_slab(Correlation* s, Py_ssize_t pixels, const real* panels, const real* planes,
                         const Py_ssize_t* off, const Py_ssize_t* off_packed, const Py_ssize_t* runs, real* packed,
                         real* sums, bint accumulate) noexcept nogil:
    """Add the terms of a slab to the sums (outputs, tiles * NR)."""
    cdef Py_ssize_t nr = tile_columns(planes), ld = s.tiles * nr, k, kc, depth, tile, o, count, width, found
    cdef const real* x
    cdef const Py_ssize_t* rows
    cdef Segment segments[SEGMENTS]
    for kc in range(ceil_div(pixels, KC)):
        k = kc * KC
        depth = smaller(KC, pixels - k)
        for tile in range(s.tiles):
            if s.packed:
                count = smaller(nr, s.run * s.run_count - tile * nr)
                found = find_runs(s, runs, tile * nr, count, segments)
                pack_pixels(planes, off + k, depth, segments, found, packed)
                x, rows = packed, off_packed
            else:
                x = planes + runs[tile * nr // s.run_columns] + tile * nr % s.run_columns
                rows = off + k
            for o in range(ceil_div(s.outputs, s.panel)):
                count = smaller(s.panel, s.outputs - o * s.panel)
                width = padded_height(count, 2)
                multiply_tile(panels + o * s.panel * pixels + k * width, x, rows, depth, width,
                              sums + o * s.panel * ld + tile * nr, ld, accumulate or k > 0)


cdef void correlate_item(Correlation* s, Py_ssize_t item, const Py_ssize_t* off, const Py_ssize_t* off_packed,
                         const Py_ssize_t* runs, real* planes, real* panels, real* packed, real* sums) noexcept nogil:
    """One chunk of the slabs, for one block of channels."""
    cdef Py_ssize_t blocks = s.channels // s.block, bands = ceil_div(s.grad_h, s.slab_rows), slab, image, images, row, rows
    cdef Py_ssize_t slabs = ceil_div(s.images, s.slab_images) * bands, chunk = item % s.chunks, start
    cdef Py_ssize_t block = item // s.chunks % blocks, group = item // s.chunks // blocks
    start = chunk * slabs // s.chunks
    for slab in range(start, (chunk + 1) * slabs // s.chunks):
        image = slab // bands * s.slab_images
        images = smaller(s.slab_images, s.images - image)
        row = slab % bands * s.slab_rows
        rows = smaller(s.slab_rows, s.grad_h - row)
        stage(s, group, block * s.block, s.block, image, images, row, planes)
        pack_grad(s, group, image, images, row, rows, panels)
        correlate_slab(s, images * rows * s.grad_w, panels, planes, off, off_packed, runs, packed, sums, slab > start)


cdef void collect(Correlation* s, Py_ssize_t group, Py_ssize_t o, const real* sums, Py_ssize_t size_sums) noexcept nogil:
    """Add the chunks, in order, and bring (kh, kw, c) into the order (c, kh, kw), for one output."""
    cdef Py_ssize_t blocks = s.channels // s.block, taps = s.kernel_h * s.kernel_w, block, tap, c, chunk, column
    cdef Py_ssize_t per_run = taps // s.run_count
    cdef const real* source
    cdef real* to
    cdef real total
    for block in range(blocks):
        source = sums + (group * blocks + block) * s.chunks * size_sums + o * s.tiles * tile_columns(sums)
        to = <real*>s.result + ((group * s.outputs + o) * s.channels + block * s.block) * taps
        for tap in range(taps):
            column = tap // per_run * s.run_columns + tap % per_run * s.block
            for c in range(s.block):
                total = source[column + c]
                for chunk in range(1, s.chunks):
                    total += source[chunk * size_sums + column + c]
                to[c * taps + tap] = total


cdef void cut(Correlation* s, const real* model) noexcept:
    """Decide how the work is cut into items; by its sizes alone, never by the number of threads."""
    cdef Py_ssize_t nr = tile_columns(model), slabs, columns, tiles_packed, tiles_in_place, per_row
    cdef Py_ssize_t room = STAGED * sizeof(float) // sizeof(real)
    s.block = s.channels
    while s.block > BLOCK and s.block % 2 == 0:
        s.block //= 2
    s.staged_width = (s.grad_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1
    per_row = s.staged_width * s.block
    s.slab_rows = larger(1, smaller(PIXELS // s.grad_w,
                                    (room // per_row - (s.kernel_h - 1) * s.dilation_h) // s.stride_h))
    s.slab_images = 1
    if s.slab_rows >= s.grad_h:
        s.slab_images = larger(1, smaller(s.images, s.slab_rows // s.grad_h))
        s.slab_rows = s.grad_h
    s.slab_rows = ceil_div(s.grad_h, ceil_div(s.grad_h, s.slab_rows))
    s.staged_rows = (s.slab_rows - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1
    slabs = ceil_div(s.images, s.slab_images) * ceil_div(s.grad_h, s.slab_rows)
    s.chunks = ceil_div(ITEMS, s.groups * (s.channels // s.block))
    s.chunks = larger(1, smaller(s.chunks, smaller(slabs, s.images * s.grad_h * s.grad_w // PIXELS)))
    s.panel = larger(2, ceil_div(s.outputs, ceil_div(s.outputs, tile_rows(model))))
    # Columns that follow each other in memory: a whole kernel row, or with a dilation the channels of one tap.
    s.run = s.block * (s.kernel_w if s.dilation_w == 1 else 1)
    s.run_count = s.kernel_h * s.kernel_w * s.block // s.run
    tiles_packed = ceil_div(s.run * s.run_count, nr)
    tiles_in_place = ceil_div(s.run, nr) * s.run_count
    s.packed = tiles_packed * (s.outputs + 8) < tiles_in_place * s.outputs     # packing costs about 8 more outputs
    s.tiles = tiles_packed if s.packed else tiles_in_place
    s.run_columns = s.run if s.packed else ceil_div(s.run, nr) * nr


cdef void correlate(Correlation* s, const real* model) except *:
    """Compute the result. The caller has filled in all but the last fields of s."""
    cut(s, model)
    cdef Py_ssize_t nr = tile_columns(model), blocks = s.channels // s.block, items = s.groups * blocks * s.chunks
    cdef Py_ssize_t pixels = s.slab_images * s.slab_rows * s.grad_w, n, t, u, r, item
    cdef Py_ssize_t flops = 2 * s.images * s.grad_h * s.grad_w * s.groups * s.outputs * s.run * s.run_count * blocks
    cdef int threads = threads_for(flops // FLOPS)
    cdef Py_ssize_t size_planes = s.slab_images * s.staged_rows * s.staged_width * s.block + 2 * nr
    cdef Py_ssize_t size_panels = (s.outputs + 1) * pixels
    cdef Py_ssize_t size_own = size_planes + size_panels + KC * nr + 2 * nr
    cdef Py_ssize_t size_sums = (s.outputs + 1) * s.tiles * nr
    cdef Py_ssize_t* tables = <Py_ssize_t*>take((pixels + KC + s.run_count) * sizeof(Py_ssize_t))
    cdef Py_ssize_t* off_packed = tables + pixels
    cdef Py_ssize_t* runs = off_packed + KC
    cdef real* sums
    try:
        sums = <real*>take((items * size_sums + threads * size_own) * sizeof(real))
    except MemoryError:
        give(tables)
        raise
    cdef real* own = sums + items * size_sums
    for n in range(s.slab_images):
        for t in range(s.slab_rows):
            for u in range(s.grad_w):
                tables[(n * s.slab_rows + t) * s.grad_w + u] = \
                    ((n * s.staged_rows + t * s.stride_h) * s.staged_width + u * s.stride_w) * s.block
    for t in range(KC):
        off_packed[t] = t * nr
    for n in range(threads):     # columns that nothing is packed into are multiplied too: old denormal numbers are slow
        for t in range(KC * nr):
            own[n * size_own + size_planes + size_panels + t] = 0
    for r in range(s.run_count):
        t = r // (s.run_count // s.kernel_h) * s.dilation_h
        u = r % (s.run_count // s.kernel_h) * s.dilation_w
        runs[r] = (t * s.staged_width + u) * s.block
    with nogil:
        for item in prange(items, num_threads=threads, schedule="dynamic"):
            correlate_item(s, item, tables, off_packed, runs, own + threadid() * size_own,
                           own + threadid() * size_own + size_planes,
                           own + threadid() * size_own + size_planes + size_panels, sums + item * size_sums)
        for r in prange(s.groups * s.outputs, num_threads=threads, schedule="static"):
            collect(s, r // s.outputs, r % s.outputs, <const real*>sums, size_sums)
    give(sums)
    give(tables)
