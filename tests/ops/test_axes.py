"""Which dimensions are meant, and what is said when there are none such."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.errors import DTypeError, ShapeError
from minidl.ops.axes import normalize_dim, normalize_dims, reduced_dims, restore_dims


def test_negative_dims_count_from_the_end():
    assert [normalize_dim("f", d, 3) for d in (-3, -2, -1, 0, 1, 2)] == [0, 1, 2, 0, 1, 2]
    assert normalize_dim("f", np.int64(-1), 2) == 1
    assert normalize_dim("f", minidl.tensor(1), 2) == 1


def test_a_number_without_dimensions_counts_as_having_one():
    assert normalize_dim("f", 0, 0) == normalize_dim("f", -1, 0) == 0
    assert normalize_dims("f", (0,), 0) == ()


def test_order_is_kept():
    assert normalize_dims("f", [2, -3], 3) == (2, 0)
    assert normalize_dims("f", None, 2) == (0, 1)
    assert normalize_dims("f", (), 2) == ()


def test_reductions_take_an_empty_tuple_for_all():
    assert reduced_dims("f", (), 2) == reduced_dims("f", None, 2) == (0, 1)


@pytest.mark.parametrize(("dim", "ndim"), [(3, 3), (-4, 3), (1, 0), (-2, 0)])
def test_no_such_dim(dim, ndim):
    with pytest.raises(ShapeError, match=rf"f: expected dim from .*got dim {dim} for {ndim} dimensions"):
        normalize_dim("f", dim, ndim)


@pytest.mark.parametrize("dim", [1.0, "0", None, True, [0]])
def test_no_integer(dim):
    with pytest.raises(DTypeError, match="expected an integer as dim"):
        normalize_dim("f", dim, 3)


def test_named_twice():
    with pytest.raises(ShapeError, match="each dim once"):
        normalize_dims("f", (0, -2), 2)


def test_restoring_undoes_a_reduction():
    x = np.zeros((2, 3, 4, 5))
    for dims in [(), (0,), (1, 3), (0, 1, 2, 3)]:
        for keepdim in (False, True):
            kept = x.sum(axis=dims, keepdims=True)
            assert restore_dims(x.sum(axis=dims, keepdims=keepdim), dims, keepdim).shape == kept.shape


@pytest.mark.parametrize("name", ["sum", "mean", "var", "amax", "max", "argmax", "prod", "norm", "logsumexp", "all"])
def test_every_reduction_refuses_a_dim_that_is_not_there(name):
    function = getattr(minidl, name)
    with pytest.raises(ShapeError, match=rf"^{name}: expected dim from -2 to 1; got dim 2 for 2 dimensions"):
        function(minidl.ones(2, 3), dim=2)
    with pytest.raises(DTypeError, match=f"^{name}: expected an integer"):
        function(minidl.ones(2, 3), dim=0.5)
