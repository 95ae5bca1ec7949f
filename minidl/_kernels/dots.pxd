# The weight gradient of a convolution with few outputs in a group.

from .arrays cimport real
from .wgrad cimport Correlation


cdef bint suits_dots(const Correlation* s, const real* model) noexcept
cdef void correlate_dots(Correlation* s, const real* model) except *
