"""For all tests."""

import os

# Where PyTorch is the oracle, its threads would only compete with those of the kernels; they are set elsewhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis

# The same examples on every run, so that a failure is a failure for everyone.
hypothesis.settings.register_profile("same-every-time", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same-every-time")
