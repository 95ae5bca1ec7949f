"""For all tests: hypothesis draws the same examples on every run, so that a failure is a failure for everyone."""

import hypothesis

hypothesis.settings.register_profile("same-every-time", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same-every-time")
