"""Losses: extreme scores, kinks, ignored labels, and the mistakes that other libraries let pass."""

from __future__ import annotations

import math
import pickle
import warnings

import numpy as np
import pytest

import minidl
from minidl.errors import DTypeError, GraphError, IndexingError, OptionError, ShapeError

INF = math.inf
PAIRWISE = [
    minidl.mse_loss,
    minidl.l1_loss,
    minidl.huber_loss,
    minidl.smooth_l1_loss,
    minidl.binary_cross_entropy,
    minidl.binary_cross_entropy_with_logits,
    minidl.kl_div,
]


@pytest.fixture(params=minidl.backends.available_backends(), autouse=True)
def backend(request):
    with minidl.use_backend(request.param), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield request.param


def leaf(values, dtype="float64"):
    return minidl.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("loss", PAIRWISE)
def test_shapes_that_would_broadcast_are_refused(loss):
    with pytest.raises(ShapeError, match=rf"{loss.__name__}: .*input \(4,\), target \(4, 1\)"):
        loss(np.full(4, 0.5), np.full((4, 1), 0.5))


@pytest.mark.parametrize("loss", PAIRWISE)
def test_unknown_reduction(loss):
    with pytest.raises(OptionError, match=f"{loss.__name__} reduction: expected one of mean, sum, none"):
        loss(np.full(4, 0.5), np.full(4, 0.5), reduction="average")


@pytest.mark.parametrize("loss", PAIRWISE)
def test_types(loss):
    x = np.full(4, 0.5, np.float32)
    assert loss(x, x).dtype == np.float32
    assert loss(x, np.ones(4, np.int64)).dtype == np.float32
    assert loss(x, np.ones(4, bool)).dtype == np.float32


def test_slopes_at_kinks():
    for loss, wanted in ((minidl.l1_loss, 0), (minidl.huber_loss, 0), (minidl.smooth_l1_loss, 0)):
        x = leaf([0.0])
        loss(x, np.zeros(1)).backward()
        assert x.grad.tolist() == [wanted]
    x = leaf([0.5, -0.5])
    minidl.huber_loss(x, np.zeros(2), "sum", 0.5).backward()
    assert x.grad.tolist() == [0.5, -0.5]


def test_huber_and_smooth_l1_options():
    with pytest.raises(OptionError, match="huber_loss delta"):
        minidl.huber_loss(np.ones(2), np.ones(2), delta=0.0)
    with pytest.raises(OptionError, match="smooth_l1_loss beta"):
        minidl.smooth_l1_loss(np.ones(2), np.ones(2), beta=math.nan)


def test_bce_with_logits_far_out():
    x = leaf([1000.0, -1000.0, 1000.0, -1000.0, -40.0, 22.0, -22.0])
    target = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    losses = minidl.binary_cross_entropy_with_logits(x, target, reduction="none")
    # To the last digit, also where a difference of two large numbers would leave nothing: ln(1 + e^-40) = e^-40.
    far = 22 + math.log1p(math.exp(-22))
    np.testing.assert_allclose(losses.detach(), [0, 0, 1000, 1000, math.exp(-40), far, far], rtol=1e-14)
    (g,) = minidl.grad(losses.sum(), x)
    p = 1 / (1 + math.exp(-22))
    np.testing.assert_allclose(g, [0, 0, 1, -1, math.exp(-40), p, -p], rtol=1e-14)


def test_bce_at_the_ends_is_finite():
    x = leaf([0.0, 1.0])
    loss = minidl.binary_cross_entropy(x, np.array([1.0, 0.0]), reduction="sum")
    assert loss.item() == 200
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_bce_refuses_what_is_no_probability():
    with pytest.raises(OptionError, match="binary_cross_entropy_with_logits"):
        minidl.binary_cross_entropy(np.array([0.5, 1.5]), np.ones(2))


def test_weights_must_not_enlarge_the_losses():
    x = np.full((3, 2), 0.5)
    for weight in (np.ones(3), np.ones((1, 3, 2))):
        with pytest.raises(ShapeError, match="weights that broadcast"):
            minidl.binary_cross_entropy(x, x, weight)
        with pytest.raises(ShapeError, match="weights that broadcast"):
            minidl.binary_cross_entropy_with_logits(x, x, pos_weight=weight)


def test_kl_div_of_a_zero_probability():
    x, t = leaf([-1.0, -2.0]), leaf([0.0, 1.0])
    loss = minidl.kl_div(x, t, "sum")
    assert loss.item() == 2
    loss.backward()
    assert x.grad.tolist() == [0, -1]
    assert np.isfinite(t.grad.numpy()).all()


def test_cross_entropy_far_out():
    x = leaf([[1000.0, -1000.0], [1000.0, -1000.0], [-1000.0, -1001.0]])
    losses = minidl.cross_entropy(x, np.array([0, 1, 1]), reduction="none")
    np.testing.assert_allclose(losses.detach(), [0, 2000, 1 + math.log1p(math.exp(-1))], rtol=1e-14)
    (g,) = minidl.grad(losses.sum(), x)
    p = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(g, [[0, 0], [1, -1], [p, -p]], rtol=1e-12, atol=1e-15)


def test_masked_classes():
    """A class with a score of -inf has no probability, and costs nothing unless it is the label."""
    x = leaf([[0.0, -INF, 0.0]])
    loss = minidl.cross_entropy(x, np.array([0]))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    np.testing.assert_allclose(x.grad, [[-0.5, 0, 0.5]])


def test_ignored_labels_have_no_share():
    x = leaf(np.random.default_rng(0).normal(size=(3, 4)))
    labels = np.array([1, -100, 3])
    loss = minidl.cross_entropy(x, labels)
    np.testing.assert_allclose(loss.item(), minidl.cross_entropy(x.detach()[[0, 2]], labels[[0, 2]]).item())
    loss.backward()
    assert not x.grad[1].numpy().any()
    assert x.grad[0].numpy().all()


@pytest.mark.parametrize("options", [{}, {"weight": np.ones(3)}, {"label_smoothing": 0.1}])
def test_a_row_that_is_ignored_may_hold_anything(options):
    x = leaf([[1.0, 2.0, 3.0], [INF, math.nan, -INF]])
    loss = minidl.cross_entropy(x, np.array([0, -100]), **options)
    np.testing.assert_allclose(loss.item(), minidl.cross_entropy(x.detach()[:1], np.array([0]), **options).item())


def test_nothing_but_ignored_labels():
    x = leaf(np.zeros((2, 3)))
    labels = np.array([-100, -100])
    assert math.isnan(minidl.cross_entropy(x, labels).item())
    assert minidl.cross_entropy(x, labels, reduction="sum").item() == 0
    assert minidl.cross_entropy(x, labels, reduction="none").tolist() == [0, 0]


def test_empty_batch():
    x = leaf(np.zeros((0, 3)))
    labels = np.zeros(0, np.int64)
    assert minidl.cross_entropy(x, labels, reduction="none").shape == (0,)
    loss = minidl.cross_entropy(x, labels, reduction="sum")
    assert loss.item() == 0
    (g,) = minidl.grad(loss, x, create_graph=True)
    assert g.shape == (0, 3)


def test_third_order():
    x = np.random.default_rng(0).normal(size=(2, 3))
    assert minidl.gradcheck(lambda a: minidl.cross_entropy(a, np.array([0, 2])), [x], order=3)


def test_one_kernel_forward_and_one_backward(monkeypatch):
    seen = []
    backend = type(minidl.backends.backend_of(np.ones(1)))
    for name in ("cross_entropy", "cross_entropy_grad", "softmax", "log_softmax"):
        kernel = getattr(backend, name)
        monkeypatch.setattr(backend, name, lambda *a, n=name, k=kernel: (seen.append(n), k(*a))[1])
    x = leaf(np.zeros((4, 3)), "float32")
    loss = minidl.cross_entropy(x, minidl.tensor([0, 1, 2, 0]))
    loss.backward()
    assert loss.op.edges[0] is x
    kernels = [name for name in seen if "cross_entropy" in name]
    assert kernels == ["cross_entropy", "cross_entropy_grad"]


@pytest.mark.parametrize("loss", [minidl.cross_entropy, minidl.nll_loss])
@pytest.mark.parametrize("ignore_index", [-100.5, -100.0, 2**63, -(2**70), None, "a"])
def test_ignore_index_is_an_integer(loss, ignore_index):
    with pytest.raises(OptionError, match=r"ignore_index.*integer"):
        loss(np.zeros((2, 3)), np.array([0, 2]), ignore_index=ignore_index)


def test_changed_labels_are_noticed_whatever_object_their_type_is():
    x = leaf(np.zeros((4, 3)))
    labels = pickle.loads(pickle.dumps(minidl.tensor([0, 1, 2, 0])))
    assert labels.dtype is not np.dtype(np.int64)
    loss = minidl.cross_entropy(x, labels)
    labels[0] = 1
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_labels_of_any_integer_type_and_layout():
    x = np.random.default_rng(0).normal(size=(4, 300))
    labels = np.array([3, 200, 255, 0])
    wanted = minidl.cross_entropy(x, labels)
    for given in (labels.astype(np.uint8), labels.astype(np.int32), np.repeat(labels, 2)[::2], labels.tolist()):
        np.testing.assert_array_equal(minidl.cross_entropy(x, given), wanted)


def test_labels_changed_before_backward_are_noticed():
    x, labels = leaf(np.zeros((2, 3))), minidl.tensor([0, 1])
    loss = minidl.cross_entropy(x, labels)
    labels[0] = 2
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("loss", [minidl.cross_entropy, minidl.nll_loss])
@pytest.mark.parametrize(
    ("shape", "labels", "options", "error", "text"),
    [
        ((2, 3), np.array([0, 3]), {}, IndexingError, "labels from 0 to 2, or ignore_index=-100; got label 3"),
        ((2, 3), np.array([0, -1]), {}, IndexingError, "got label -1"),
        ((2, 3), np.array([-100, 1]), {"ignore_index": -1}, IndexingError, "got label -100"),
        ((2, 3), np.array([0, 2**62]), {}, IndexingError, "got label 4611686018427387904"),
        ((2, 3), np.array([0, 2**63], np.uint64), {}, IndexingError, "got label 9223372036854775808"),
        ((2, 3), np.array([True, False]), {}, DTypeError, "integer labels"),
        ((2, 3), np.array([0, 1, 2]), {}, ShapeError, "labels of shape (2,)"),
        ((2, 3), np.array([[0], [1]]), {}, ShapeError, "target.squeeze(1)"),
        ((2, 3, 4), np.array([0, 1]), {}, ShapeError, "labels of shape (2, 4)"),
        ((3,), np.array([0]), {}, ShapeError, "labels of shape ()"),
        ((), np.array(0), {}, ShapeError, "at least one class; got shape ()"),
        ((1, 0), np.array([-100]), {}, ShapeError, "at least one class"),
        ((2, 3), np.array([0, 1]), {"weight": np.ones(2)}, ShapeError, "one weight for each of 3 classes"),
        ((2, 3), np.array([0, 1]), {"reduction": "batchmean"}, OptionError, "reduction"),
    ],
)
def test_bad_labels(loss, shape, labels, options, error, text):
    with pytest.raises(error) as caught:
        loss(np.zeros(shape), labels, **options)
    assert loss.__name__ in str(caught.value)
    assert text in str(caught.value)


def test_bad_probabilities():
    with pytest.raises(ShapeError, match=r"labels must be integers: target.astype"):
        minidl.cross_entropy(np.zeros((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(OptionError, match="label_smoothing"):
        minidl.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), label_smoothing=1.5)
    with pytest.raises(DTypeError, match="nll_loss: expected integer labels"):
        minidl.nll_loss(np.zeros((2, 3)), np.zeros((2, 3)))
