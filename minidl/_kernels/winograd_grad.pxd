# The weight gradient of convolutions 3x3 of stride 1 by Winograd's minimal filtering.

from .arrays cimport real
from .winograd cimport Tiled


cdef struct WinogradGrad:
    Py_ssize_t images
    Tiled x, grad                     # the two images of the correlation, and where their transforms are
    void* result                      # (outputs, channels, 3, 3)
    # set by `correlate_tiles`: the cut of the result into parts of `height * panels` outputs and NR channels
    Py_ssize_t height, panels, sum_step


cdef bint suits_tiles(const WinogradGrad* s, const real* model) noexcept nogil
cdef bint correlate_tiles(WinogradGrad* s, const real* model) except -1
