"""The graph: accumulation, order, memory, hooks, errors."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import minidl
from minidl.errors import AnomalyError, DTypeError, GraphError, IndexingError, OptionError, ShapeError


def leaf(*values: float) -> minidl.Tensor:
    return minidl.tensor(list(values), requires_grad=True, dtype="float64")


def test_a_hand_computed_example():
    a, b = minidl.tensor(2.0, requires_grad=True), minidl.tensor(-3.0, requires_grad=True)
    c = a * b + a**2  # ∂/∂a = b + 2a = 1, ∂/∂b = a = 2
    c.backward()
    assert (c.item(), a.grad.item(), b.grad.item()) == (-2.0, 1.0, 2.0)


def test_a_reused_value_adds_its_gradients():
    x = leaf(3.0)
    y = x * x + x
    (y * y).sum().backward()
    assert x.grad.tolist() == [2 * 12 * 7]


def test_backward_accumulates_in_leaves_and_zero_grad_forgets():
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 5]
    x.zero_grad()
    assert x.grad is None


def test_gradient_argument_weighs_the_outputs():
    x = leaf(1.0, 2.0)
    (x * x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    with pytest.raises(ShapeError, match="scalar"):
        (x * x).backward()
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        (x * x).backward(np.ones(3))
    assert x.grad.tolist() == [2, 40]


def test_only_leaves_get_gradients_unless_retained():
    x = leaf(2.0)
    y = x * x
    z = y * 3
    y.retain_grad()
    z.sum().backward()
    assert z.grad is None and y.grad.tolist() == [3] and x.grad.tolist() == [12]


def test_grad_leaves_everything_as_it_is():
    x, w = leaf(2.0), leaf(5.0)
    y = x * x * w
    (gx,) = minidl.grad(y, x)
    assert gx.tolist() == [20] and x.grad is None and w.grad is None


def test_grad_of_intermediates_and_unused_inputs():
    x, unused = leaf(2.0), leaf(1.0)
    y = x * x
    z = y * y
    gy, gx = minidl.grad(z, [y, x], retain_graph=True)
    assert gy.tolist() == [8] and gx.tolist() == [32]
    with pytest.raises(GraphError, match="not used"):
        minidl.grad(z, [x, unused], retain_graph=True)
    assert minidl.grad(z, [x, unused], allow_unused=True)[1] is None
    with pytest.raises(GraphError, match="require a gradient"):
        minidl.grad(x * 2, minidl.ones(1))


def test_grad_asks_only_the_operations_on_the_way():
    asked = []

    class Watched(minidl.Op):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            asked.append(self)
            return grad * 2

    x, y = leaf(1.0), leaf(1.0)
    total = Watched()(x) + y * 3
    assert minidl.grad(total, y)[0].tolist() == [3] and not asked


def test_needs_tells_what_is_wanted():
    seen = []

    class Both(minidl.Op):
        def forward(self, a, b):
            return a + b

        def backward(self, grad):
            seen.append(self.needs)
            return grad, grad

    a, b = leaf(1.0), minidl.ones(1, dtype="float64")
    Both()(a, b).sum().backward()
    c = leaf(1.0)
    minidl.grad(Both()(a, c).sum(), c)
    assert seen == [(True, False), (False, True)]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_any_order(order):
    x = leaf(0.7)
    y = minidl.sin(x) * x**3
    for _ in range(order):
        (y,) = minidl.grad(y.sum(), x, create_graph=True)
    s, c, v = np.sin(0.7), np.cos(0.7), 0.7
    wanted = {  # Leibniz' rule by hand
        1: c * v**3 + 3 * s * v**2,
        2: -s * v**3 + 6 * c * v**2 + 6 * s * v,
        3: -c * v**3 - 9 * s * v**2 + 18 * c * v + 6 * s,
        4: s * v**3 - 12 * c * v**2 - 36 * s * v + 24 * c,
    }[order]
    assert y.item() == pytest.approx(wanted, rel=1e-12)


def test_create_graph_on_backward_makes_grad_differentiable():
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    x.grad.sum().backward()
    assert x.grad.tolist() == [12 + 12]


def test_a_second_backward_is_refused_and_changes_nothing():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match="retain_graph"):
        y.backward()
    assert x.grad.tolist() == [4]
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12]


def test_changing_a_saved_array_is_refused():
    x = leaf(2.0)
    factor = minidl.ones(1, dtype="float64")
    y = (x * factor).sum()
    factor[0] = 7
    with pytest.raises(GraphError, match=r"Mul.*changed in place"):
        y.backward()
    assert x.grad is None


@pytest.mark.parametrize("through", ["detach", "view", "output", "slice of a slice"])
def test_changes_through_other_names_are_noticed(through):
    x = leaf(2.0, 3.0)
    data = minidl.ones(2, 2, dtype="float64")
    y = minidl.exp(x) if through == "output" else x * (data if through != "slice of a slice" else data[0])
    if through == "detach":
        data.detach()[0, 0] = 5
    elif through == "view":
        data.reshape(4)[1] = 5
    elif through == "output":
        y.detach()[0] = 5
    else:
        data[:1][0, :1] = 5
    with pytest.raises(GraphError, match="changed in place"):
        y.sum().backward()


def test_views_that_a_user_s_op_makes_are_noticed():
    class Head(minidl.Op):
        def forward(self, x, whole):
            return x if whole else x[:1]

        def backward(self, grad):
            raise NotImplementedError

    for whole in (True, False):
        x, w = leaf(1.0, 2.0), minidl.tensor([3.0, 4.0], dtype="float64")
        y = (x * w).sum()
        Head()(w, whole)[0] = 100
        with pytest.raises(GraphError, match="changed in place"):
            y.backward()


def test_a_tensor_around_a_tensor_shares_its_version():
    x, w = leaf(1.0, 2.0), minidl.ones(2, dtype="float64")
    y = (x * w).sum()
    minidl.Tensor(w)[0] = 5
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_a_write_that_fails_is_no_change():
    x, w = leaf(1.0, 2.0), minidl.ones(2, dtype="float64")
    y = (x * w).sum()
    with pytest.raises(ShapeError):
        w[...] = minidl.ones(3)
    with pytest.raises(IndexingError, match="index"):
        w[5] = 1
    y.backward()
    assert x.grad.tolist() == [1, 1]


def test_an_optimizers_step_is_a_change():
    w = leaf(1.0)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    minidl.optim.SGD([w], lr=0.1).step()
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_no_grad_enable_grad_and_decorators():
    x = leaf(1.0)
    with minidl.no_grad():
        assert not (x * 2).requires_grad and not minidl.is_grad_enabled()
        with minidl.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad

    @minidl.no_grad()
    def quiet(depth):
        return quiet(depth - 1) if depth else (x * 2).requires_grad

    @minidl.inference_mode()
    def infer():
        return (x * 2).requires_grad

    assert not quiet(3) and not infer() and minidl.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), minidl.no_grad():
        raise ZeroDivisionError
    assert minidl.is_grad_enabled()


def test_the_mode_belongs_to_the_thread():
    seen = []
    with minidl.no_grad():
        thread = threading.Thread(target=lambda: seen.append(minidl.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_the_mode_belongs_to_the_asyncio_task():
    async def infer(entered, checked):
        with minidl.no_grad():
            entered.set()
            await checked.wait()

    async def train():
        entered, checked = asyncio.Event(), asyncio.Event()
        other = asyncio.create_task(infer(entered, checked))
        await entered.wait()
        seen = minidl.is_grad_enabled()
        checked.set()
        await other
        return seen

    assert asyncio.run(train())


def test_threads_can_train_at_the_same_time():
    results = {}

    def work(number):
        x = leaf(float(number))
        for _ in range(50):
            x.zero_grad()
            (x * x * x).sum().backward()
        results[number] = x.grad.tolist()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [3.0 * n * n] for n in range(1, 5)}


def test_threads_can_go_back_through_one_graph():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x
    for _ in range(100):
        y = y * w * 0.4 + x
    loss = y.sum()
    wanted = {id(t): minidl.grad(loss, t, retain_graph=True)[0].tolist() for t in (x, w)}
    wrong = []

    def work(tensor):
        for _ in range(30):
            if minidl.grad(loss, tensor, retain_graph=True)[0].tolist() != wanted[id(tensor)]:
                wrong.append(tensor)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(t,)) for t in (x, w, x, w)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_modes_refuse_to_decorate_a_generator():
    def numbers():
        yield 1

    with pytest.raises(OptionError, match="inside it"):
        minidl.no_grad()(numbers)


def test_grad_names_what_is_no_tensor():
    x = leaf(1.0)
    with pytest.raises(GraphError, match=r"outputs.*int"):
        minidl.grad(3, x)
    with pytest.raises(GraphError, match=r"inputs.*float"):
        minidl.grad(x * 2, 1.5)
    with pytest.raises(GraphError, match="int"):
        minidl.grad(x * 2, [3])


def test_backward_without_anything_to_differentiate():
    with pytest.raises(GraphError, match="requires_grad=True"):
        minidl.ones(1).backward()
    with minidl.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(GraphError, match="no_grad"):
        y.backward()


def test_a_leaf_itself_can_be_the_output():
    x = leaf(3.0)
    x.backward()
    assert x.grad.tolist() == [1]


# --- hooks


def test_hooks_on_leaves_and_intermediates():
    x = leaf(2.0)
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (y * 3).sum().backward(retain_graph=True)
    assert seen == [[3.0]] and x.grad.tolist() == [3 * 10 * 4 + 1]
    handle.remove()
    handle.remove()
    x.zero_grad()
    (y * 3).sum().backward()
    assert x.grad.tolist() == [13]
    with pytest.raises(GraphError):
        minidl.ones(1).register_hook(print)


def test_a_leafs_hook_sees_the_whole_gradient_once():
    x = leaf(2.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * x + x * 3).sum().backward()
    assert seen == [[7.0]]


@pytest.mark.parametrize(
    "wrong", [lambda g: g.sum(), lambda g: 3.0, lambda g: np.zeros(2)], ids=["shape", "float", "array"]
)
@pytest.mark.parametrize("place", ["leaf", "intermediate"])
def test_a_hook_that_returns_something_else_is_refused(wrong, place):
    x = leaf(1.0, 2.0)
    y = x * 2
    (x if place == "leaf" else y).register_hook(wrong)
    with pytest.raises(GraphError, match=r"hook.*\(2,\)"):
        y.sum().backward()
    assert x.grad is None


def test_a_hook_s_result_takes_the_type_of_the_gradient():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.astype("float32"))
    (x * 2).sum().backward()
    assert x.grad.dtype == np.float64
    with pytest.raises(OptionError, match="function"):
        x.register_hook(3)


def test_a_hook_that_raises_leaves_every_grad_as_it_was():
    a, b = leaf(1.0), leaf(2.0)

    def boom(gradient):
        raise ZeroDivisionError

    b.register_hook(boom)
    with pytest.raises(ZeroDivisionError):
        (a * b).sum().backward()
    assert a.grad is None and b.grad is None and minidl.is_grad_enabled()


def test_a_refused_backward_leaves_retained_grads_as_they_were():
    x = leaf(2.0)
    y = x * x
    z = y * 3
    z.retain_grad()
    (y * 1.0).sum().backward()  # frees y's node
    with pytest.raises(GraphError, match="freed"):
        z.sum().backward()
    assert z.grad is None


def test_grad_fills_what_was_asked_to_be_retained():
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    minidl.grad((y * y).sum(), x)
    assert y.grad.tolist() == [8] and x.grad is None


# --- gradients own their memory


def test_gradients_share_no_memory():
    a, b = leaf(1.0), leaf(2.0)
    seed = np.ones(1)
    (a + b).backward(seed)
    assert not np.shares_memory(a.grad.data, b.grad.data) and not np.shares_memory(a.grad.data, seed)
    a.grad[...] = 7
    assert b.grad.tolist() == [1] and seed.tolist() == [1]


def test_gradients_of_numbers_are_arrays_that_can_be_written():
    """NumPy's sum of two 0-d arrays is no array."""
    x = minidl.tensor(2.0, requires_grad=True)
    y = x * x
    y.retain_grad()
    (y * y + y + x).backward()
    (g,) = minidl.grad(x * x + x, x)
    for gradient in (x.grad, y.grad, g):
        assert type(gradient.data) is np.ndarray
        gradient[...] = 7
        assert gradient.item() == 7


def test_gradients_that_can_be_differentiated_share_no_memory():
    a, b, seed = leaf(1.0), leaf(2.0), minidl.ones(1, dtype="float64")
    (a + b).backward(seed, create_graph=True)
    assert not np.shares_memory(a.grad.data, b.grad.data) and not np.shares_memory(a.grad.data, seed.data)
    x = leaf(2.0)
    first, second = minidl.grad((x * x).sum(), [x, x])
    assert first.tolist() == second.tolist() == [4] and not np.shares_memory(first.data, second.data)


def test_gradients_take_the_type_of_their_tensor():
    class Widening(minidl.Op):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            return grad * np.full(2, 2.0)

    for create_graph in (False, True):
        x = minidl.tensor([1.0, 2.0], requires_grad=True)
        assert minidl.grad(Widening()(x).sum(), x, create_graph=create_graph)[0].dtype == np.float32
        Widening()(x).sum().backward(create_graph=create_graph)
        assert x.grad.dtype == np.float32


def test_the_sum_in_a_leaf_is_made_in_memory_of_its_own():
    """The second sum goes into the memory of the first, which must not be anyone else's."""

    class Kept(minidl.Op):
        def forward(self, x):
            self.save(x)
            return x * x * 0.5

        def backward(self, grad):
            return self.saved[0]

    x = leaf(1.0, 2.0)
    seed = np.ones(2)
    (Kept()(x) + Kept()(x) + Kept()(x) + x).backward(seed)
    assert x.grad.tolist() == [4, 7] and x.tolist() == [1, 2] and seed.tolist() == [1, 1]


def test_an_op_that_returns_its_input_or_saved_array():
    class Same(minidl.Op):
        def forward(self, x):
            self.save(x)
            return x

        def backward(self, grad):
            return grad

    class Saved(minidl.Op):
        def forward(self, x):
            self.save(x)
            return x * x * 0.5

        def backward(self, grad):
            return self.saved[0]

    x = leaf(1.0, 2.0)
    y = Same()(x)
    assert y is not x and y.data is not x.data
    y.sum().backward()
    Saved()(x).sum().backward()
    x.zero_grad()
    Saved()(x).sum().backward()
    assert x.grad.tolist() == [1, 2] and not np.shares_memory(x.grad.data, x.data)


# --- user-defined operations that are wrong


def run_op(backward, forward=lambda self, x: x * 2):
    op = type("Mine", (minidl.Op,), {"forward": forward, "backward": backward})
    x = leaf(1.0, 2.0)
    op()(x).sum().backward()
    return x


def test_wrong_numbers_and_shapes_of_gradients_are_named():
    with pytest.raises(GraphError, match=r"Mine.*1 gradients"):
        run_op(lambda self, grad: (grad, grad))
    with pytest.raises(ShapeError, match="sum_to"):
        run_op(lambda self, grad: grad.sum())
    assert run_op(lambda self, grad: None).grad is None


@pytest.mark.parametrize("result", [None, 3.0, [np.ones(2)], minidl.ones(2)], ids=["None", "float", "list", "Tensor"])
def test_forward_must_return_arrays(result):
    with pytest.raises(DTypeError, match=r"Mine.forward.*array"):
        run_op(lambda self, grad: grad, lambda self, x: result)


def test_backward_must_return_arrays_and_may_return_a_list():
    with pytest.raises(ShapeError, match=r"Mine.backward.*got a float"):
        run_op(lambda self, grad: 3.0)
    assert run_op(lambda self, grad: [grad * 2]).grad.tolist() == [2, 2]


def test_a_tuple_as_an_argument_can_be_saved():
    class Scaled(minidl.Op):
        def forward(self, x, factors):
            self.save(x, factors)
            return x * factors[0] * factors[1]

        def backward(self, grad):
            _, (a, b) = self.saved
            return grad * a * b, None

    x = leaf(1.0, 2.0)
    (g,) = minidl.grad(Scaled()(x, (2, 3)).sum(), x, create_graph=True)
    assert g.tolist() == [6, 6]


def test_saving_a_computed_float_is_refused():
    def forward(self, x):
        e = np.exp(x)
        self.save(e)
        return e * 2

    with pytest.raises(GraphError, match="second order"):
        run_op(lambda self, grad: grad, forward)
    with pytest.raises(GraphError, match="second order"):
        type("Mine", (minidl.Op,), {"forward": forward})()(minidl.tensor(1.0, requires_grad=True))


def test_one_op_is_one_node():
    op = minidl.ops.arithmetic.Neg()
    x = leaf(1.0)
    op(x)
    with pytest.raises(GraphError, match="one node"):
        op(x)
    with pytest.raises(GraphError, match="one node"):
        op(np.ones(1))  # would overwrite what the node has saved


def test_raw_arrays_are_told_from_tensors_of_the_same_memory():
    """x · constant, where the constant is the very array of x: only one of the two is differentiated."""
    for build in (lambda x: x * x.data, lambda x: x.data * x, lambda x: x * x.detach()):
        x = leaf(3.0)
        (g,) = minidl.grad(build(x), x, create_graph=True)
        assert g.tolist() == [3]
        assert not g.requires_grad or minidl.grad(g, x, allow_unused=True)[0] is None


def test_missing_output_gradients_are_zero():
    class Two(minidl.Op):
        def forward(self, x):
            return x * 2, x * 3

        def backward(self, first, second):
            return first * 2 + second * 3

    x = leaf(1.0, 2.0)
    a, b = Two()(x)
    b.sum().backward()
    assert x.grad.tolist() == [3, 3]
    a, b = Two()(x)
    (g,) = minidl.grad(a.sum(), x, create_graph=True)
    assert g.tolist() == [2, 2]


def test_saved_integers_stay_plain_under_create_graph():
    seen = []

    class Largest(minidl.Op):
        def forward(self, x):
            places = x.argmax(1)
            self.save(x, places)
            return x.max(1) ** 2, places

        def backward(self, grad, _):
            x, places = self.saved
            seen.append(type(places))
            rows = np.arange(len(places))
            hot = np.zeros(x.shape)
            hot[rows, places] = 1
            return (grad * 2 * x[rows, places]).reshape(-1, 1) * hot

    x = minidl.tensor([[1.0, 3.0], [5.0, 4.0]], requires_grad=True, dtype="float64")
    values, _ = Largest()(x)
    (g,) = minidl.grad(values.sum(), x, create_graph=True)
    (h,) = minidl.grad(g.sum(), x)
    assert g.tolist() == [[0, 6], [10, 0]] and h.tolist() == [[0, 2], [2, 0]] and seen == [np.ndarray]


# --- memory


def test_a_chain_of_100000_nodes():
    x = minidl.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y


def test_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = minidl.exp(x) * x
        references = [weakref.ref(y), weakref.ref(y.op)]
        (g,) = minidl.grad(y.sum(), x, create_graph=True)
        references += [weakref.ref(g), weakref.ref(g.op)]
        g.sum().backward()
        del y, g
        assert [r() for r in references] == [None] * 4
        x.grad = None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_intermediate_that_no_backward_needs_is_freed():
    x = minidl.randn(1000, requires_grad=True)
    a = x + 1
    b = minidl.relu(a)  # saves its output, not a
    reference = weakref.ref(a)
    data = weakref.ref(a.data)
    del a
    assert reference() is None and data() is None
    b.sum().backward()
    assert x.grad is not None


def test_backward_frees_the_saved_arrays():
    x = minidl.randn(10, requires_grad=True)
    h = x * 2
    y = (h * h).sum()
    data = weakref.ref(h.data)
    del h
    assert data() is not None
    y.backward()
    assert data() is None


def test_memory_stays_flat_without_the_garbage_collector():
    def step(w):
        w.zero_grad()
        minidl.tanh(w @ w).sum().backward()
        with minidl.no_grad():
            w[...] = w * 0.999

    w = minidl.randn(50, 50, requires_grad=True)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(20):
            step(w)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            step(w)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 20_000  # two matrices; a leak of one step would be ten megabytes


# --- anomalies


def test_detect_anomaly_names_the_forward_operation_and_the_line():
    x = minidl.tensor([1.0, 0.0], requires_grad=True)
    with pytest.raises(AnomalyError) as caught, minidl.detect_anomaly():
        minidl.exp(minidl.log(x))  # the guilty line
    assert "Log" in str(caught.value) and "the guilty line" in str(caught.value) and "1 infinite" in str(caught.value)


def test_detect_anomaly_names_the_backward_operation_and_the_line():
    x = minidl.tensor([0.0, 4.0], requires_grad=True)
    with pytest.raises(AnomalyError) as caught, minidl.detect_anomaly():
        y = minidl.sqrt(x).sum()  # finite, but its slope at 0 is not
        y.backward()
    assert "Sqrt" in str(caught.value) and "its slope at 0" in str(caught.value) and "backward" in str(caught.value)
    assert x.grad is None


def test_detect_anomaly_names_the_users_line_under_create_graph():
    x = minidl.tensor([0.0], requires_grad=True)
    with pytest.raises(AnomalyError) as caught, minidl.detect_anomaly():
        y = minidl.sqrt(x).sum()
        minidl.grad(y, x, create_graph=True)  # asked for here
    assert "asked for here" in str(caught.value)


def test_detect_anomaly_lets_given_infinities_pass():
    scores = minidl.tensor([[1.0, -np.inf]], requires_grad=True)
    with minidl.detect_anomaly():
        minidl.softmax(scores, 1)[0, 0].backward()
    assert np.isfinite(scores.grad.numpy()).all()


def test_without_detect_anomaly_nan_passes_silently():
    x = minidl.tensor([-1.0], requires_grad=True)
    y = minidl.log(x)
    y.sum().backward()
    assert np.isnan(y.item())
