# The weight gradient of a convolution with few channels in a group.

from .arrays cimport real
from .wgrad cimport Correlation


cdef bint suits_dots(const Correlation* s) noexcept
cdef void correlate_dots(Correlation* s, const real* model) except *
