"""The graph page without a browser: values and gradients are the engine's, and drawing changes nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import minidl
from minidl import nn, viz
from minidl.errors import GraphError, OptionError
from minidl.viz.modules import group_operations
from minidl.viz.summary import number, short, summarise
from minidl.viz.trace import trace_backward


def data_of(page) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.S).group(1))


def flat(values) -> list[float]:
    return list(np.ravel(values))


def leaf(*shape):
    return minidl.randn(*shape, requires_grad=True, dtype="float64")


@pytest.fixture
def network():
    minidl.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(8, 3),
    )
    x, y = minidl.randn(5, 1, 6, 6), minidl.tensor(np.array([0, 1, 2, 0, 1]))
    outputs = {}
    handles = [
        module.register_forward_hook(lambda m, i, o, path=path: outputs.setdefault(path, o))
        for path, module in model.named_modules()
        if path
    ]
    loss = nn.functional.cross_entropy(model(x), y)
    for handle in handles:
        handle.remove()
    return model, x, y, outputs, loss


def test_values_are_those_of_the_forward_pass(network):
    _, x, y, outputs, loss = network
    trace = trace_backward(loss, {**{f"out {k}": v for k, v in outputs.items()}, "x": x, "y": y})
    labelled = {node.label: node for node in trace.nodes if node.label}
    assert set(labelled) == {f"out {path}" for path in outputs}
    for path, output in outputs.items():
        assert labelled[f"out {path}"].value == summarise(output.detach()), path
        assert labelled[f"out {path}"].shape == output.shape
    constants = {node.name: node for node in trace.nodes if node.kind == "constant"}
    assert constants["x"].value == summarise(x) and constants["y"].value == summarise(y)
    assert trace.nodes[trace.loss].value == summarise(loss.detach())


def test_gradients_are_those_of_backward(network):
    model, _, _, outputs, loss = network
    for output in outputs.values():
        output.retain_grad()
    parameters = dict(model.named_parameters())
    trace = trace_backward(loss, {**parameters, **{f"out {k}": v for k, v in outputs.items()}})
    assert all(p.grad is None for p in parameters.values()) and all(o.grad is None for o in outputs.values())
    loss.backward()
    final = {}
    for step in trace.steps:
        for part in step.contributions:
            node = trace.nodes[trace.edges[part.edge].source]
            final[node.label or node.name] = part.total
    for name, parameter in parameters.items():
        assert final[name] == summarise(parameter.grad), name
    for name, output in outputs.items():
        if f"out {name}" in final:
            assert final[f"out {name}"] == summarise(output.grad), name


def test_a_reused_result_collects_its_contributions():
    a = leaf(2, 2)
    b = a * 3.0
    loss = (b * b + b.sin()).sum()
    trace = trace_backward(loss, {"b": b})
    parts = [
        part
        for step in trace.steps
        for part in step.contributions
        if trace.nodes[trace.edges[part.edge].source].label == "b"
    ]
    assert [part.count for part in parts] == [1, 2, 3]
    running = np.zeros((2, 2))
    for part in parts:
        running = running + np.array(part.value["values"])
        np.testing.assert_allclose(running, part.total["values"], rtol=1e-5)
    np.testing.assert_allclose(running, 2 * b.data + np.cos(b.data), rtol=1e-5)


def test_the_order_is_that_of_the_engine(monkeypatch):
    x = leaf(3)
    y = x.exp()
    loss = (y.tanh() * x.sin() + y).sum()
    trace = trace_backward(loss, {})
    walked = []
    for kind in {type(op) for op in ops_of(loss)}:

        def backward(op, *grads, original=kind.backward):
            walked.append(op.name)
            return original(op, *grads)

        monkeypatch.setattr(kind, "backward", backward)
    loss.backward()
    assert [trace.nodes[step.node].name for step in trace.steps] == walked
    assert walked[0] == "Sum" and walked.index("Tanh") < walked.index("Exp")


def ops_of(loss):
    found, stack = set(), [loss.op]
    while stack:
        op = stack.pop()
        if op not in found:
            found.add(op)
            stack.extend(edge[0] for edge in op.edges if isinstance(edge, tuple))
    return found


def test_drawing_changes_nothing(network):
    model, _, _, _, loss = network
    before = {name: buffer.numpy().copy() for name, buffer in model.named_buffers()}
    viz.graph(loss, model=model)
    viz.graph(loss, model=model)
    assert all(np.array_equal(buffer.numpy(), before[name]) for name, buffer in model.named_buffers())
    assert all(p.grad is None for p in model.parameters())
    assert all("backward" not in vars(op) for op in ops_of(loss))
    loss.backward()  # the graph was not used up


def test_an_error_on_the_way_leaves_the_operations_as_they_were():
    class Broken(minidl.Op):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            raise RuntimeError("broken on purpose")

    loss = Broken()(leaf(2)).sum()
    with pytest.raises(RuntimeError, match="on purpose"):
        viz.graph(loss)
    assert all("backward" not in vars(op) for op in ops_of(loss))


def test_operations_that_cannot_be_run_twice_have_no_value_but_a_gradient():
    class Noisy(minidl.Op):
        def forward(self, x):
            noise = np.random.default_rng().normal(size=x.shape) > 0
            self.save(noise)
            return x * noise

        def backward(self, grad):
            return grad * self.saved[0]

    x = leaf(40)
    trace = trace_backward((Noisy()(x) + 1).sum(), {})
    by_name = {node.name: node for node in trace.nodes}
    assert by_name["Noisy"].value is None and len(trace.steps) == 3


def test_a_saved_result_is_no_constant():
    class Raised(minidl.Op):
        def forward(self, base, x):
            y = base**x
            self.save(y)
            return y

        def backward(self, grad):
            return None, grad * self.saved[0]

    x = leaf(3)
    y = Raised()(np.full(3, np.e), x)
    trace = trace_backward((y * y).sum(), {"y": y})
    assert [node.kind for node in trace.nodes].count("constant") == 0
    assert next(node for node in trace.nodes if node.label == "y").value == summarise(y.detach())


def test_several_outputs():
    x = leaf(6)
    values, _ = minidl.topk(x, 2)
    trace = trace_backward((values * values).sum(), {"values": values})
    assert [node.shape for node in trace.nodes if node.label == "values"] == [(2,)]
    x2 = leaf(2, 4)
    one, two = minidl.split(x2, 2, dim=1)
    page = viz.graph((one * two).sum(), names={"x": x2})
    assert data_of(page)["nodes"][-1]["name"] == "x"


@pytest.mark.parametrize("what", ["no graph", "a number", "used up"])
def test_what_cannot_be_drawn(what):
    x = leaf(2)
    loss = (x * x).sum()
    if what == "used up":
        loss.backward()
    with pytest.raises(GraphError, match="retain_graph" if what == "used up" else "backward"):
        viz.graph({"no graph": x.detach(), "a number": 3.0, "used up": loss}[what])


def test_too_many_operations():
    x = leaf(1)
    y = x
    for _ in range(1001):
        y = y.sin()
    with pytest.raises(OptionError, match="1,000 operations"):
        viz.graph(y.sum())


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.rows, self.headings = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.rows += tag == "tr"
        self.headings += [tag] if tag in ("h1", "th") else []
        self.links += [v for k, v in attributes if k in ("src", "href", "action", "data")]


def test_the_page(network, tmp_path):
    model, x, y, _, loss = network
    path = tmp_path / "graph.html"
    page = viz.graph(loss, path, model=model, names={"x": x, "y": y}, title="<LeNet> & others")
    text = path.read_text()
    assert text == page.html and len(text.encode()) < 1_000_000
    assert "<title>&lt;LeNet&gt; &amp; others</title>" in text and "{{" not in text
    parsed = Page(text)
    assert not parsed.links and "http" not in re.sub(r"http://www.w3.org/2000/svg|http-equiv", "", text)
    assert parsed.rows == 1 + len(data_of(page)["steps"])
    assert {"0.weight", "x", "y"} <= {node["name"] for node in data_of(page)["nodes"]}
    assert 'srcdoc="&lt;!doctype html&gt;' in page._repr_html_()


def test_names_cannot_end_the_script():
    x = leaf(1)
    page = viz.graph((x * x).sum(), names={"</script><b>": x})
    assert data_of(page)["nodes"][-1]["name"] == "</script><b>"
    assert page.html.count("</script>") == 2 and "<b>" not in page.html


def test_numbers_that_are_not_finite():
    x = minidl.tensor([0.0, 1.0], requires_grad=True)
    page = viz.graph((1.0 / x).sum(), names={"x": x})
    assert "inf" in json.dumps(data_of(page)["nodes"]) and "-inf" in json.dumps(data_of(page)["steps"])


def test_summaries():
    small = summarise(np.arange(4.0).reshape(2, 2))
    assert small == {"shape": [2, 2], "dtype": "float64", "values": [[0, 1], [2, 3]]}
    large = summarise(np.arange(60.0).reshape(3, 4, 5))
    assert (large["min"], large["max"], large["mean"]) == (0, 59, 29.5)
    assert large["corner"] == [[0, 1, 2], [5, 6, 7], [10, 11, 12]]
    assert summarise(np.zeros((0, 3)))["values"] == []
    assert number(1 / 3) == 0.333333 and number(float("nan")) == "nan"
    assert short(None) == "not kept" and short(large) == "mean 29.5, from 0.0 to 59.0"


# Groups


KINDS = {"": "Net", "a": "Linear", "block": "Block", "block.0": "Linear", "block.1": "Linear", "z": "Linear"}


def test_groups_follow_the_modules():
    taken = ["a.weight", "", "block.0.weight", "block.0.bias", "", "block.1.weight", "", "z.weight"]
    groups = group_operations(taken, KINDS)
    assert [(g.label, g.parent, g.operations) for g in groups] == [
        ("block: Block", -1, [2, 3, 4, 5]),
        ("block.0: Linear", 0, [2, 3]),
    ]


def test_a_module_that_runs_twice_is_two_groups():
    taken = ["block.0.weight", "block.1.weight", "a.weight", "block.0.weight", "block.1.weight"]
    assert [g.operations for g in group_operations(taken, KINDS)] == [[0, 1], [3, 4]]


@pytest.mark.parametrize("count", [60, 61, 1000])
def test_many_operations_are_gathered(count):
    groups = group_operations([""] * count, {})
    top = [i for g in groups if g.parent == -1 for i in g.operations]
    assert sorted(top) == (list(range(count)) if count > 60 else [])
    assert sum(g.parent == -1 for g in groups) <= 60
    for group in groups:
        assert group.operations == list(range(group.operations[0], group.operations[-1] + 1))
        if group.parent != -1:
            assert set(group.operations) <= set(groups[group.parent].operations)
            assert group.parent < groups.index(group)
