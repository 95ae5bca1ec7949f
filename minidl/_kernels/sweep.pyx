"""conv2d and its input gradient: the micro-kernel swept over zero-padded planes, without an im2col buffer.

Take one channel, a 3x3 kernel, and an image that was copied once into a zero-padded plane of width PW:

      plane            q = oh*PW + ow           off = kh*PW + kw
      0 0 0 0 0 0      . . . . . .              0     1     2        The pixel that tap (kh, kw) shows to output q
      0 a b c d 0      . . . . . .              PW    PW+1  PW+2     is plane[off + q]. So row k = (kh, kw) of the
      0 e f g h 0      . . . . . .              2PW   2PW+1 2PW+2    "im2col matrix" is the plane itself, read from
      0 0 0 0 0 0                                                    off[k] on. It never has to be written down.

With channels, ``off[k] = c*plane + kh*PW + kw``. NR neighbouring q make a tile of the micro-kernel. The PW - OW
columns at the end of a row are computed and not stored.

stride s    Neighbouring outputs lie s pixels apart. The copy goes into s*s planes, one for each (row % s, column % s), and
            in each plane the neighbours are neighbours again; off[k] points into the plane of its tap.
dilation    Other numbers in the table: kh*d instead of kh.
gradient    dx = correlation of the padded dy with the flipped kernel: other numbers in both tables. With a stride,
            the pixels of dx fall into s*s phases that see different taps; each phase has tables of its own.

Where it pays (few channels), each row is copied once for every column of a window, OW numbers each: the pixels of all rows
follow each other then, and only the table is another one. Where the columns that are not stored would be many (small
images) or the sums are long, a tile is first packed: its NR pixels, KC rows of the table, copied side by side. The
micro-kernel then reads the packed copy by the table k*NR.
"""

cimport numpy as cnp
from cython.parallel cimport prange, threadid

from .arrays cimport larger, real, smaller
from .gemm cimport KC
from .micro cimport WIDE, ceil_div, multiply_tile, padded_height, panel_height, tile_columns
from .packing cimport PIECE, copy_piece, copy_rows, copy_run
from .scratch cimport give, take
from .staging cimport stage
from .threads cimport threads_for

cnp.import_array()

cdef enum:
    FLOPS = 100              # multiplications and additions a nanosecond, to guess what is worth a thread
    STAGED = 1 << 17         # numbers in the staged planes of an item: they fit the L2 cache
    PIXELS = 1024            # pixels summed before they go to the result
    PACKING = 5              # what it costs to copy a number and read the copy: so many multiplications (measured)
    SPREADING = 8            # the same for rows that are spread out: they are read from the middle of a cache line
    MOST_SPREAD = 1 << 14    # numbers in the planes of an image whose rows are spread out: they fit the L2 cache easily
    TILES = 8                # of a run, that one panel of outputs goes over before the next
    LONG = 1024              # a sum this long is cut into blocks of KC
    SEGMENTS = 32            # most runs of neighbouring pixels in a tile
    MOST_PIECES = 32 + 4     # and pieces that they are copied in


cdef void pack_weights(Sweep* s, Phase* phase, Py_ssize_t group, Py_ssize_t o, const real* _) noexcept nogil:
    """The panel of weights of the outputs from o on, term by term."""
    cdef Py_ssize_t rows = smaller(s.panel, s.outputs - o), i, k, padded = padded_height(rows, s.panel)
    cdef real* packed__ko = <real*>phase.panels + (group * (s.outputs + 1) + o) * phase.depth
    cdef const real* weight = <const real*>s.weight + group * s.weight_group + o * s.weight_output
    cdef const real* w
    for i in range(rows // 4):                   # four streams at a time
        for k in range(phase.depth):
            w = weight + 4 * i * s.weight_output + phase.weight_off[k]
            packed__ko[k * padded + 4 * i] = w[0]
            packed__ko[k * padded + 4 * i + 1] = w[s.weight_output]
            packed__ko[k * padded + 4 * i + 2] = w[2 * s.weight_output]
            packed__ko[k * padded + 4 * i + 3] = w[3 * s.weight_output]
    for i in range(rows // 4 * 4, rows):
        for k in range(phase.depth):
            packed__ko[k * padded + i] = weight[i * s.weight_output + phase.weight_off[k]]
    for i in range(rows, padded):
        for k in range(phase.depth):
            packed__ko[k * padded + i] = 0


cdef Py_ssize_t find_segments(Sweep* s, Py_ssize_t columns, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t count,
                              Segment* segments) noexcept nogil:
    """Pixels first..first+count of an item (image by image, row by row), as runs; returns how many runs."""
    cdef Py_ssize_t n = first // (columns * rows), row = first // columns % rows, column = first % columns
    cdef Py_ssize_t done = 0, length, found = 0
    while done < count:
        length = smaller(count - done, columns - column)
        segments[found].first = done
        segments[found].length = length
        segments[found].source = n * s.staged_image + row * s.staged_width + column
        segments[found].result = n * s.groups * s.outputs * s.plane + row * s.row_step + column * s.column_step
        done += length
        found += 1
        column = 0
        row += 1
        if row == rows:
            row = 0
            n += 1
    return found


cdef void pack_pixels(const real* planes, const Py_ssize_t* off, Py_ssize_t depth, const Segment* segments,
                      Py_ssize_t count, real* packed__kq) noexcept nogil:
    """A tile of pixels, term by term: NR numbers a row.

    A run is copied in pieces, which may be longer than what is left of it: the next run, or the next row, puts that
    right.
    """
    cdef Py_ssize_t nr = tile_columns(planes), k, i, piece, pieces = 0
    cdef Py_ssize_t from_[MOST_PIECES]
    cdef Py_ssize_t to[MOST_PIECES]
    cdef const real* source
    for i in range(count):
        for piece in range(ceil_div(segments[i].length, PIECE)):
            from_[pieces] = segments[i].source + piece * PIECE
            to[pieces] = segments[i].first + piece * PIECE
            pieces += 1
    if pieces == 4:                              # most often; a known number of pieces is straight code
        for k in range(depth):
            source = planes + off[k]
            copy_piece(source + from_[0], packed__kq + k * nr + to[0])
            copy_piece(source + from_[1], packed__kq + k * nr + to[1])
            copy_piece(source + from_[2], packed__kq + k * nr + to[2])
            copy_piece(source + from_[3], packed__kq + k * nr + to[3])
        return
    for k in range(depth):
        source = planes + off[k]
        for i in range(pieces):
            copy_piece(source + from_[i], packed__kq + k * nr + to[i])


cdef void sweep_packed(Sweep* s, Phase* phase, Py_ssize_t group, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t pixels,
                       const real* planes, real* packed, real* sums, const Py_ssize_t* off_packed, real* result
                       ) noexcept nogil:
    """Pixels first..first+pixels of an item with so many rows an image, in tiles that run on over rows and images.

    A tile inside an image is summed where it belongs in the result, others in `sums` (s.ld numbers for each output).
    """
    cdef Py_ssize_t blocks = larger(ceil_div(phase.depth, KC), 1), b, k, depth, tile, o, height, padded, found, count
    cdef Py_ssize_t panel, at, ld, nr = s.tile, image = rows * phase.columns
    cdef bint joined = s.column_step == 1 and s.row_step == phase.columns, inside, whole
    cdef const real* weights = <const real*>phase.panels + group * (s.outputs + 1) * phase.depth
    cdef const real* start = <const real*>s.starts + group * s.outputs
    cdef const real* x
    cdef const Py_ssize_t* off
    cdef real* to
    cdef Segment segments[SEGMENTS]
    for b in range(blocks):
        k = b * phase.depth // blocks
        depth = (b + 1) * phase.depth // blocks - k
        for tile in range(ceil_div(pixels, nr)):
            at = first + tile * nr
            count = smaller(nr, pixels - tile * nr)
            found = find_segments(s, phase.columns, rows, at, count, segments)
            inside = joined and count == nr and at // image == (at + nr - 1) // image
            if found == 1 and blocks == 1:               # neighbours in the planes too
                x, off = planes + segments[0].source, phase.off
            else:
                pack_pixels(planes, phase.off + k, depth, segments, found, packed)
                x, off = packed, off_packed
            for panel in range(ceil_div(s.outputs, s.panel)):
                o = panel * s.panel
                height = smaller(s.panel, s.outputs - o)
                padded = padded_height(height, s.panel)
                whole = inside and height == padded
                to = result + segments[0].result + o * s.plane if whole else sums + o * s.ld + tile * nr
                ld = s.plane if whole else s.ld
                multiply_tile(weights + o * phase.depth + k * padded, x, off, depth, padded, to, ld, b > 0,
                              start + o)
                if b == blocks - 1 and not whole:
                    store_segments(s, segments, found, height, <const real*>to, result + o * s.plane)


cdef void store_segments(Sweep* s, const Segment* segments, Py_ssize_t count, Py_ssize_t outputs, const real* sums,
                         real* result) noexcept nogil:
    """Take the runs of a finished tile to the result, for some outputs."""
    cdef Py_ssize_t i, o, u
    cdef const real* source
    cdef real* to
    for i in range(count):
        for o in range(outputs):
            source = sums + o * s.ld + segments[i].first
            to = result + o * s.plane + segments[i].result
            if s.column_step == 1:
                copy_run(source, segments[i].length, to)
            else:
                for u in range(segments[i].length):
                    to[u * s.column_step] = source[u]


cdef void sweep_run(Sweep* s, Phase* phase, Py_ssize_t group, Py_ssize_t first, Py_ssize_t outputs, Py_ssize_t pixels,
                    const real* planes, real* to, Py_ssize_t ld) noexcept nogil:
    """Sums of so many pixels that begin at `planes`, read in place, for so many outputs from `first` on."""
    cdef Py_ssize_t tiles = ceil_div(pixels, s.tile), block, panel, tile, o, height
    cdef const real* weights = <const real*>phase.panels + (group * (s.outputs + 1) + first) * phase.depth
    cdef const real* start = <const real*>s.starts + group * s.outputs + first
    for block in range(ceil_div(tiles, TILES)):
        for panel in range(ceil_div(outputs, s.panel)):
            o = panel * s.panel
            height = padded_height(smaller(s.panel, outputs - o), s.panel)
            for tile in range(block * TILES, smaller((block + 1) * TILES, tiles)):
                multiply_tile(weights + o * phase.depth, planes + tile * s.tile, phase.off, phase.depth, height,
                              to + o * ld + tile * s.tile, ld, False, start + o)


cdef void sweep_direct(Sweep* s, Phase* phase, Py_ssize_t group, Py_ssize_t rows, const real* planes, real* sums,
                       real* result) noexcept nogil:
    """Rows of an image, summed where they belong: one by one, or as one run where they follow each other.

    Columns that are no output pixels fall on the next row, which comes after and puts that right. The last tile has no
    next row: where it is not whole, it goes through `sums`.
    """
    cdef Py_ssize_t length = phase.columns, i, whole
    if s.staged_width == length:
        length, rows = rows * length, 1
    for i in range(rows - 1):
        sweep_run(s, phase, group, 0, s.outputs, length, planes, result, s.plane)
        planes += s.staged_width
        result += s.row_step
    whole = length // s.tile * s.tile
    sweep_run(s, phase, group, 0, s.outputs, whole, planes, result, s.plane)
    if whole < length:
        sweep_run(s, phase, group, 0, s.outputs, length - whole, planes + whole, sums, s.ld)
        for i in range(s.outputs):
            copy_run(<const real*>sums + i * s.ld, length - whole, result + i * s.plane + whole)


cdef void sweep_sums(Sweep* s, Phase* phase, Py_ssize_t group, Py_ssize_t o, Py_ssize_t rows, const real* planes,
                     real* sums, real* result) noexcept nogil:
    """Rows of an image, summed first and then taken to the result, without the columns that are no output pixels.

    One panel of outputs, from o on: its sums fit the L1 cache.
    """
    cdef Py_ssize_t outputs = smaller(s.panel, s.outputs - o), part, first, count, i, r, u
    cdef const real* source
    cdef real* to
    for part in range(ceil_div(rows, s.sum_rows)):
        first = part * s.sum_rows
        count = smaller(s.sum_rows, rows - first)
        sweep_run(s, phase, group, o, outputs, (count - 1) * s.staged_width + phase.columns,
                  planes + first * s.staged_width, sums, s.ld)
        for i in range(outputs):
            source = sums + i * s.ld
            to = result + i * s.plane + first * s.row_step
            if s.column_step == 1:
                copy_rows(source, s.staged_width, count, phase.columns, to, s.row_step)
                continue
            for r in range(count):
                for u in range(phase.columns):
                    to[r * s.row_step + u * s.column_step] = source[r * s.staged_width + u]


cdef void sweep_item(Sweep* s, Py_ssize_t item, real* own_planes, real* packed, real* sums,
                     const Py_ssize_t* off_packed) noexcept nogil:
    """One item of work: some rows of some images of one group, all phases, all outputs."""
    cdef Py_ssize_t bands = ceil_div(s.rows, s.item_rows), stacks = ceil_div(s.images, s.item_images), i, rows, n, panel, pixels
    cdef Py_ssize_t row = item % bands * s.item_rows, image = item // bands % stacks * s.item_images
    cdef Py_ssize_t group = item // bands // stacks, images = smaller(s.item_images, s.images - image)
    cdef Phase* phase
    cdef const real* planes = own_planes
    cdef const real* source
    cdef real* to
    cdef real* result = <real*>s.result + (image * s.groups + group) * s.outputs * s.plane + row * s.row_step
    # Tiles read a little beyond the last pixel: the last images are copied in any case.
    if s.bare and (image + images) * s.staged_image + WIDE * s.tile <= s.images * s.staged_image:
        planes = <const real*>s.source + image * s.staged_image
    else:
        stage(s, group, image, images, row, smaller(s.item_rows, s.rows - row), own_planes)
    for i in range(s.phase_count):
        phase = &s.phases[i]
        rows = smaller(s.item_rows, phase.rows - row)
        if rows <= 0 or phase.columns <= 0:
            continue
        if s.packed:
            pixels = images * rows * phase.columns
            for n in range(ceil_div(pixels, s.ld)):
                sweep_packed(s, phase, group, rows, n * s.ld, smaller(s.ld, pixels - n * s.ld), planes, packed, sums,
                             off_packed, result + phase.start)
            continue
        for n in range(images):
            source = planes + n * s.staged_image
            to = result + phase.start + n * s.groups * s.outputs * s.plane
            if s.direct:
                sweep_direct(s, phase, group, rows, source, sums, to)
                continue
            for panel in range(ceil_div(s.outputs, s.panel)):
                sweep_sums(s, phase, group, panel * s.panel, rows, source, sums, to + panel * s.panel * s.plane)


cdef Py_ssize_t copies_of_rows(const Sweep* s, Py_ssize_t depth) noexcept:
    """How often to copy each row, once for every column of a window, instead of summing in place; 0 where it does not pay."""
    cdef const Phase* phase = s.phases
    cdef Py_ssize_t i, pixels = s.rows * s.columns, copies = 0
    for i in range(phase.tap_count):
        copies = larger(copies, column_of(s, &phase.taps[i]) + 1)
    if s.phase_count > 1 or s.panel == 1 or s.outputs % s.panel == 1 or s.row_step != s.columns or not s.reach_w \
            or <double>s.channels * s.step_h * copies * (s.rows + s.reach_h) * s.columns > MOST_SPREAD:
        return 0
    # What both ways cost beside the multiplications, in outputs more: columns computed in vain and sums copied, or rows
    # copied and pixels computed in vain.
    cdef double in_place = <double>s.outputs * s.reach_w / s.columns + PACKING * <double>s.outputs / depth
    if by_rows(s):
        in_place = <double>s.outputs * ceil_div(s.columns, s.tile) * s.tile / s.columns - s.outputs
    cdef double copied = SPREADING * <double>s.step_h * copies * (s.rows + s.reach_h) / (s.rows * phase.tap_count)
    copied += s.outputs * (<double>ceil_div(pixels, s.tile) * s.tile / pixels - 1)
    return copies if copied < in_place else 0


cdef inline bint by_rows(const Sweep* s) noexcept:
    """Whether a row of whole tiles costs no more than the staged columns, and ends before the end of the next row."""
    return ceil_div(s.columns, s.tile) * s.tile <= smaller(s.columns + s.reach_w, 2 * s.columns)


cdef inline Py_ssize_t column_of(const Sweep* s, const Tap* tap) noexcept nogil:
    """Columns from the left end of a window to what a tap sees."""
    return tap.shift_w * s.step_w + tap.plane % s.step_w


cdef void cut(Sweep* s, int threads, Py_ssize_t depth, const real* model) noexcept:
    """Decide how the work is cut into items, and whether rows are spread out or tiles packed."""
    cdef Py_ssize_t per_row, bands, room = STAGED * sizeof(float) // sizeof(real)
    s.panel = panel_height(s.outputs, model)
    s.tile = tile_columns(model) * (WIDE if s.panel == 1 else 1)
    # In place, reach_w of the staged columns are computed in vain; packing costs as much as PACKING more outputs.
    s.packed = s.panel > 1 and (depth > LONG or s.outputs * s.reach_w > PACKING * s.columns)
    s.copies = 0 if s.packed else copies_of_rows(s, depth)
    if s.copies:
        s.reach_w = 0
    s.staged_width = s.columns + s.reach_w
    s.planes = s.step_h * (s.copies or s.step_w)
    per_row = s.channels * s.planes * s.staged_width
    s.item_rows = larger(1, smaller(s.rows, room // per_row - s.reach_h))
    s.item_images = 1
    if s.item_rows == s.rows:
        s.item_images = larger(1, smaller(PIXELS // (s.rows * s.columns), s.images // threads))
        s.item_images = larger(1, smaller(s.item_images, room // (per_row * (s.rows + s.reach_h))))
        if s.copies:             # several would only need a larger cache
            s.item_images = 1
    bands = ceil_div(s.rows, s.item_rows)
    if s.groups * ceil_div(s.images, s.item_images) * bands < threads:
        bands = smaller(s.rows, ceil_div(threads, s.groups * ceil_div(s.images, s.item_images)))
    s.item_rows = ceil_div(s.rows, bands)
    # Rows follow each other in the planes, too, or each is summed alone. A panel that is padded has a row too many for
    # the result.
    s.direct = s.column_step == 1 and s.row_step == s.columns and (s.panel == 1 or s.outputs % s.panel != 1) \
        and (s.staged_width == s.columns or by_rows(s))
    s.sum_rows = 1 if s.direct else larger(1, smaller(PIXELS // s.staged_width, s.item_rows))
    s.ld = ceil_div(smaller(PIXELS, s.item_images * s.item_rows * s.columns) if s.packed
                    else s.sum_rows * s.staged_width, s.tile) * s.tile
    s.staged_rows = s.item_rows + s.reach_h
    s.staged_plane = s.staged_rows * s.staged_width
    s.staged_image = s.channels * s.planes * s.staged_plane
    # Without padding and stride, rows are what a copy of them would be, and whole images too.
    s.plain = s.planes == 1 and s.top == 0 and s.left == 0 and s.staged_width == s.width \
        and s.rows + s.reach_h == s.height
    s.bare = s.plain and s.groups == 1 and s.staged_rows == s.height


cdef void tabulate(Sweep* s, Phase* phase) noexcept nogil:
    """The two tables of a phase: where each term's pixel and its weight are."""
    cdef Py_ssize_t channel, i, count = phase.tap_count, step = s.planes * s.staged_plane, weight_step = s.weight_channel
    cdef Py_ssize_t* off = phase.off
    cdef Py_ssize_t* weight_off = phase.weight_off
    cdef const Tap* tap
    for i in range(count):
        tap = &phase.taps[i]
        weight_off[i] = tap.weight
        if s.copies:
            off[i] = (tap.plane // s.step_w * s.copies + column_of(s, tap)) * s.staged_plane + tap.shift_h * s.staged_width
        else:
            off[i] = tap.plane * s.staged_plane + tap.shift_h * s.staged_width + tap.shift_w
    for channel in range(1, s.channels):         # the same, a channel further on
        for i in range(count):
            off[channel * count + i] = off[i] + channel * step
            weight_off[channel * count + i] = weight_off[i] + channel * weight_step


cdef void sweep(Sweep* s, const real* model) except *:
    """Compute the result of a sweep of which the caller has filled in what it is about."""
    cdef Py_ssize_t i, k, item, items, panel, panels, terms = 0, deepest = 0, pixels = 0
    cdef Phase* phase
    for i in range(s.phase_count):
        phase = &s.phases[i]
        phase.depth = s.channels * phase.tap_count
        terms += phase.depth
        deepest = larger(deepest, phase.depth)
        pixels += phase.rows * phase.columns * phase.depth
    cdef int threads = threads_for(2 * pixels * s.images * s.groups * s.outputs // FLOPS)
    cut(s, threads, deepest, model)
    cdef Py_ssize_t size_planes = s.item_images * s.staged_image + WIDE * 32
    cdef Py_ssize_t block = smaller(deepest, KC) if s.packed else 0
    cdef Py_ssize_t size_packed = s.tile * block + PIECE
    cdef Py_ssize_t size_sums = ((s.outputs if s.packed or s.direct else s.panel) + 1) * s.ld
    cdef Py_ssize_t size_own = size_planes + size_packed + size_sums
    cdef Py_ssize_t size_starts = s.groups * s.outputs + 1       # a padded panel has a row more
    cdef Py_ssize_t size_weights = s.groups * (s.outputs + 1) * terms
    cdef Py_ssize_t* tables = <Py_ssize_t*>take((2 * terms + block) * sizeof(Py_ssize_t))
    cdef real* numbers
    try:
        numbers = <real*>take((size_weights + size_starts + threads * size_own) * sizeof(real))
    except MemoryError:
        give(tables)
        raise
    cdef real* weights = numbers
    cdef real* starts = numbers + size_weights
    cdef real* own = starts + size_starts
    cdef Py_ssize_t* off_packed = tables + 2 * terms
    for k in range(block):
        off_packed[k] = k * s.tile
    for i in range(threads):     # columns that no pixel is packed into are multiplied too: old denormal numbers are slow
        for k in range(size_packed):
            own[i * size_own + size_planes + k] = 0
    for i in range(size_starts):
        starts[i] = (<const real*>s.bias)[i] if s.bias != NULL and i < size_starts - 1 else 0
    s.starts = starts
    terms = 0
    for i in range(s.phase_count):
        phase = &s.phases[i]
        phase.off = tables + terms
        phase.weight_off = tables + terms + phase.depth
        phase.panels = weights
        tabulate(s, phase)
        terms += 2 * phase.depth
        weights += s.groups * (s.outputs + 1) * phase.depth
    panels = ceil_div(s.outputs, s.panel)
    items = s.groups * ceil_div(s.images, s.item_images) * ceil_div(s.rows, s.item_rows)
    with nogil:
        for i in prange(s.phase_count * s.groups * panels, num_threads=threads, schedule="static"):
            pack_weights(s, &s.phases[i // (s.groups * panels)], i // panels % s.groups, i % panels * s.panel, model)
        for item in prange(items, num_threads=threads, schedule="dynamic"):
            sweep_item(s, item, own + threadid() * size_own, own + threadid() * size_own + size_planes,
                       own + threadid() * size_own + size_planes + size_packed, off_packed)
    give(numbers)
    give(tables)
