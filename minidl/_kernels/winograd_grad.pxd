# The weight gradient of convolutions 3x3 of stride 1 by Winograd's minimal filtering.

from .arrays cimport real
from .winograd cimport Tiled


cdef struct WinogradGrad:
    Py_ssize_t images
    Tiled x, grad                     # the two images of the correlation, and where their transforms are
    void* result                      # (outputs, channels, 3, 3)
    # set by `correlate_tiles`: the cut of the rows of tiles into chunks, and of these into blocks of `rows`
    Py_ssize_t tile_rows, chunks, rows
    # and of the result into parts: `panels` panels of `height` outputs, and NR channels of `columns` times NR
    Py_ssize_t height, panels, outputs, columns, parts
    Py_ssize_t sum_step               # from point to point in the sums of a part
    bint kept                         # every part of every chunk has sums of its own, not only every thread


cdef bint suits_tiles(const WinogradGrad* s, const real* model) noexcept nogil
cdef bint correlate_tiles(WinogradGrad* s, const real* model) except -1
