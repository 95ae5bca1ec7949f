# Sums over axes, for kernels that have a bias.

cimport numpy as cnp


cdef cnp.ndarray sum_kept(cnp.ndarray x, int first, int last)
