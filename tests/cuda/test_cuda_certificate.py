"""The gradient certificate on the CUDA backend: every case of every operation, first and second order."""

from __future__ import annotations

import pytest

from minidl import certificate
from minidl.gradcheck import registry

NAMES = sorted({case.name for case in registry})


@pytest.mark.parametrize("name", NAMES)
def test_every_gradient_is_proven_on_cuda(name):
    (report,) = certificate.certify([name], 2, ["cuda"])
    assert report.passed, "\n".join(report.failures)
    assert report.backends == ("cuda",)
