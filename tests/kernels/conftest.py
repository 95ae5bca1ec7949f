from __future__ import annotations

import pytest

from minidl import _kernels


@pytest.fixture
def restore_threads():
    """Give the number of threads back as it was."""
    before = _kernels.get_num_threads()
    yield
    _kernels.set_num_threads(before)


def pytest_collection_modifyitems(items):
    if _kernels.kernels is None:
        for item in items:
            if "kernels" in item.path.parts and item.path.name != "test_build.py":
                item.add_marker(pytest.mark.skip(reason=f"no compiled kernels: {_kernels.reason}"))
