"""The checker is checked: wrong gradients must be caught, kinks told apart, and the certificate complete."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl.certificate import TOLERANCE, certify, check_case, format_table
from minidl.errors import DTypeError, GradcheckError, OptionError
from minidl.gradcheck import Case, Constant, call


def case(function, oracle, shape=(3, 4), order=2, **options) -> Case:
    return Case(function, "planted", lambda r: call(r.normal(size=shape)), oracle, order, **options)


def op(forward, backward):
    return lambda *inputs: type("Planted", (minidl.Op,), {"forward": forward, "backward": backward})()(*inputs)


def square_forward(self, x):
    self.save(x)
    return x * x


square = op(square_forward, lambda self, grad: grad * 2 * self.saved[0])


def failures(planted: Case, order: int = 2) -> str:
    return "; ".join(check_case(planted, order)[1])


def test_the_right_gradient_passes():
    assert failures(case(square, lambda x: x**2)) == ""


def test_a_factor_of_2001_thousandths_for_2_is_caught():
    wrong = op(square_forward, lambda self, grad: grad * 2.001 * self.saved[0])
    found = failures(case(wrong, lambda x: x**2))
    assert "order 1" in found
    with pytest.raises(GradcheckError, match="order 1"):
        minidl.gradcheck(wrong, [np.ones((2, 2))])


def test_a_lost_sum_over_a_broadcast_axis_is_caught():
    def forward(self, a, b):
        self.shapes_ = a.shape, b.shape
        return a + b

    def backward(self, grad):  # forgets that b was repeated, and takes its first copy
        return grad, grad[:1]

    wrong = op(forward, backward)
    planted = Case(wrong, "planted", lambda r: call(r.normal(size=(3, 4)), r.normal(size=(1, 4))), lambda a, b: a + b)
    assert "order 1, input 1" in failures(planted)


def test_a_cached_float_is_caught_at_second_order():
    """First order is right; the cached array hides a dependence on x that the second order needs."""

    def forward(self, x):
        self.cached = 3 * x * x  # kept behind the back of save()
        return x * x * x

    wrong = op(forward, lambda self, grad: grad * self.cached)
    assert minidl.gradcheck(wrong, [np.full((2,), 1.5)], order=1)
    found = failures(case(wrong, lambda x: x**3))
    assert "order 2" in found and "order 1" not in found
    with pytest.raises(GradcheckError, match="order 2"):
        minidl.gradcheck(wrong, [np.full((2,), 1.5)], order=2)


def test_a_wrong_value_is_caught():
    assert "differs from the oracle" in failures(case(square, lambda x: x**2 + 1e-6))
    assert "shape" in failures(case(square, lambda x: (x**2)[0]))


def test_a_case_that_proves_nothing_is_refused():
    flat = op(lambda self, x: x * 0, lambda self, grad: grad * 0)
    assert "proves nothing" in failures(case(flat, lambda x: x * 0))


def test_a_kink_is_drawn_again_and_a_wrong_gradient_is_not_excused_by_it():

    def positive(x):
        return np.maximum(x, 0)

    fold = op(lambda self, x: (self.save(x), positive(x))[1], lambda self, grad: grad * (_plain(self.saved[0]) > 0))
    draws = iter([np.zeros((2, 2)), np.ones((2, 2))])
    planted = Case(fold, "kink first", lambda r: call(next(draws)), positive, 1)
    # The value checks use the first draw, finite differences reach the second.
    assert not [f for f in check_case(planted, 1)[1] if "order" in f or "kink" in f]
    always = Case(fold, "always", lambda r: call(np.zeros((2, 2))), positive, 1)
    assert "kink" in failures(always, 1)
    wrong = op(lambda self, x: (self.save(x), np.abs(x))[1], lambda self, grad: grad * 1.1)
    assert "order 1" in failures(case(wrong, np.abs, order=1), 1)


def _plain(x):
    return x.data if isinstance(x, minidl.Tensor) else x


def test_a_changed_input_and_shared_gradients_are_caught():
    def forward(self, x):
        self.save(x)
        y = x * x
        x += 0.0 if x.flags.writeable and (x[...] == x).all() else 1.0
        x[0] = 5.0
        return y

    wrong = op(forward, lambda self, grad: grad * 2 * self.saved[0])
    found = [f for f in _quiet(case(wrong, lambda x: x**2))]
    assert any("changes its input" in f for f in found)
    constant = np.ones((3, 4))
    shares = op(lambda self, x: x * 1.0, lambda self, grad: constant)
    first = check_case(case(shares, lambda x: x * 1.0, order=1), 1)[1]
    assert first  # the gradient ignores the incoming one, so it is wrong, too


def _quiet(planted):
    try:
        return check_case(planted, 1)[1]
    except ValueError:  # it writes into the read-only layout
        from minidl import certificate

        return list(certificate._check_memory(planted, planted.sample(np.random.default_rng(0))))


def test_a_float32_that_becomes_float64_is_caught():
    widen = op(lambda self, x: x * np.ones(4), lambda self, grad: grad)
    assert "float32 becomes float64" in failures(case(widen, lambda x: x * 1, order=1), 1)


def test_a_gradient_where_none_is_claimed_is_caught():
    assert "claims order 0" in failures(case(square, lambda x: x**2, order=0))


def test_zero_size_and_0d_are_tried_for_elementwise_operations():
    def forward(self, x):
        self.save(x)
        assert x.size, "cannot take nothing"
        return x * x

    wrong = op(forward, lambda self, grad: grad * 2 * self.saved[0])
    with pytest.raises(AssertionError, match="nothing"):
        check_case(case(wrong, lambda x: x**2, elementwise=True), 1)


def test_the_values_of_other_shapes_are_compared_with_the_oracle():
    def forward(self, a, b):
        self.save(a, b)
        return a * b + (a.shape != b.shape)  # a wrong value that no gradient shows

    def backward(self, grad):
        a, b = self.saved
        return minidl.sum_to(grad * b, a.shape), minidl.sum_to(grad * a, b.shape)

    planted = Case(
        op(forward, backward), "planted", lambda r: call(r.normal(size=(3, 4)), r.normal(size=(3, 4))),
        lambda a, b: a * b, elementwise=True,
    )  # fmt: skip
    assert "first broadcast: differs from the oracle" in failures(planted, 1)


def test_0d_inputs_are_tensors_like_any_other():
    """NumPy makes scalars of 0-d arrays, and a scalar is not differentiated."""

    def forward(self, x):
        self.save(x)
        return x * x

    def backward(self, grad):
        (x,) = self.saved
        return grad * (2.0 if x.ndim else 2.1) * x

    planted = case(op(forward, backward), lambda x: x**2, elementwise=True)
    assert "0-d: order 1" in failures(planted, 1)


def test_constants_are_not_differentiated():
    planted = Case(
        minidl.mul, "constant", lambda r: call(r.normal(size=3), Constant(r.normal(size=3))), lambda a, b: a * b
    )
    found, wrong = check_case(planted, 2)
    assert not wrong and {c.input for c in found if c.order == 1} == {0}


def test_the_report_names_everything():
    wrong = op(
        square_forward, lambda self, grad: grad * minidl.tensor([2.0, 2.0, 3.0], dtype="float64").data * self.saved[0]
    )
    with pytest.raises(GradcheckError) as caught:
        minidl.gradcheck(lambda a, x: minidl.sum(wrong(x)) + minidl.sum(a), [np.ones(2), np.array([1.0, 2.0, 4.0])])
    text = str(caught.value)
    for part in ("order 1", "input 1", "index (2,)", "analytic", "numeric", "relative error 0.2"):
        assert part in text
    assert not minidl.gradcheck(wrong, [np.array([1.0, 2.0, 4.0])], raise_exception=False)


def test_a_gradient_that_is_nan_is_wrong_wherever_it_stands():
    """Python's max() passes over a NaN that does not come first."""

    def forward(self, x, y):
        return x.sum() * 2 + y.sum() * 3

    def backward(self, grad):
        return grad * 2 * np.ones(2), grad * np.full(2, np.nan)

    with pytest.raises(GradcheckError, match=r"input 1.*nan"):
        minidl.gradcheck(op(forward, backward), [np.ones(2), np.ones(2)])


@pytest.mark.parametrize("function", [minidl.argmax, lambda x: 3.0, lambda x: [x.data * 2]])
def test_a_function_without_outputs_to_check_does_not_pass(function):
    with pytest.raises(DTypeError, match="returns Tensors of floats"):
        minidl.gradcheck(function, [np.ones(3)])


def test_gradcheck_refuses_what_it_cannot_judge():
    with pytest.raises(DTypeError, match="float64"):
        minidl.gradcheck(square, [np.ones(2, np.float32)])
    with pytest.raises(DTypeError, match="at least one"):
        minidl.gradcheck(square, [np.ones(2, np.int64)])
    with pytest.raises(OptionError):
        minidl.gradcheck(square, [np.ones(2)], order=0)


def test_kink_hint_for_users():
    with pytest.raises(GradcheckError, match="kink"):
        minidl.gradcheck(minidl.relu, [np.array([0.0])])


@pytest.mark.parametrize("order", [3, 4])
def test_higher_orders(order):
    assert minidl.gradcheck(lambda x: minidl.exp(x) * x * x, [np.array([0.3, -0.5])], order=order, rtol=1e-4)


def test_certificate_of_some_operations_and_its_table():
    reports = certify(["mul", "exp"], order=2)
    assert {r.name for r in reports} == {"mul", "exp"} and all(r.passed for r in reports)
    assert all(0 < r.error < TOLERANCE for r in reports)
    table = format_table(reports)
    assert "mul" in table and "1-2" in table and "every gradient proven" in table


def test_a_crashing_case_is_a_finding(monkeypatch):
    from minidl import certificate

    def boom(x):
        raise RuntimeError("boom")

    monkeypatch.setattr(certificate, "registry", [case(boom, lambda x: x)])
    monkeypatch.setattr(certificate, "missing_operations", lambda: ["forgotten"])
    reports = certify()
    assert [r.passed for r in reports] == [False, False]
    table = format_table(reports)
    assert "RuntimeError: boom" in table and "no gradient-check case" in table and "2 operations FAILED" in table
