# %% [markdown]
# # 1. Scalars that remember
#
# A network learns by asking one question a million times: *if I change this number a little, how much does the result
# change?* This chapter builds, from nothing but Python, a number that can answer it. It takes sixty lines, and every
# deep-learning library is these sixty lines with arrays and a great deal of engineering around them.
#
# **Afterwards** you can compute a gradient by hand on a graph, say why gradients are *added* where a number is used
# twice, explain why the order of the backward walk matters, and train a neuron with an engine you wrote yourself.
#
# **Time**: smoke 2 s, default 2 s, full 4 s. **Data**: none.

# %%
import math
import random

import numpy as np

import minidl
from minidl import teach, viz
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("01_scalars", "Scalars that remember")

# %% [markdown]
# ## By hand first
#
# Take three numbers and compute
#
#     d = a·b        e = d + c        L = e·a           with  a = 2,  b = 3,  c = -1
#
# Forward, from left to right: d = 6, e = 5, L = 10. Note that `a` is used twice.
#
# Now walk back from L and ask at each number: by how much does L change for each unit that *this* number changes? We
# write the answer ∂L/∂(this). Only two rules are needed:
#
#     product p = u·v     ∂p/∂u = v     ∂p/∂v = u          sum s = u + v     ∂s/∂u = ∂s/∂v = 1
#
# | step | because | value |
# |---|---|---|
# | ∂L/∂L | L changes as L changes | 1 |
# | ∂L/∂e | L = e·a, so the slope is a | 2 |
# | ∂L/∂a, *so far* | L = e·a, so the slope is e | 5 |
# | ∂L/∂d | ∂L/∂e · 1 | 2 |
# | ∂L/∂c | ∂L/∂e · 1 | 2 |
# | ∂L/∂b | ∂L/∂d · a | 4 |
# | ∂L/∂a, the other way | ∂L/∂d · b = 6, **added** to the 5 from before | 11 |
#
# Check it with school calculus: L = (ab + c)·a = a²b + ac, so ∂L/∂a = 2ab + c = 12 - 1 = 11. Both ways through the
# graph count: when `a` moves, L moves because of both.

# %% [markdown]
# ## A number that writes down where it came from
#
# The table used nothing but *local* slopes: at each operation, how its output changes with each of its inputs. An
# operation knows them at the moment it computes. So let it write them down.


# %%
class Value:
    """A number that remembers: its trail holds pairs (parent, ∂self/∂parent)."""

    def __init__(self, data, trail=()):
        self.data = data
        self.trail = trail
        self.grad = 0.0

    def __add__(self, other):
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))


a, b, c = Value(2.0), Value(3.0), Value(-1.0)
d = a * b
e = d + c
L = e * a
print("forward: d =", d.data, " e =", e.data, " L =", L.data)
print("L was made of e and a, with the slopes", [slope for _, slope in L.trail])

# %% [markdown]
# ## The way back, first attempt
#
# The table, read as a recipe: *give a number its share of the gradient; it adds it up, and passes on to each parent the
# share times the slope.* That is the chain rule, and in Python it is three lines.


# %%
def push(node, share):
    node.grad += share
    for parent, slope in node.trail:
        push(parent, share * slope)


push(L, 1.0)
print("backward: ∂L/∂a =", a.grad, " ∂L/∂b =", b.grad, " ∂L/∂c =", c.grad)
assert (a.grad, b.grad, c.grad, d.grad, e.grad) == (11.0, 4.0, 2.0, 2.0, 2.0)  # the table

# %% [markdown]
# It reproduces every row of the table. In one sentence: **the derivative is a sum over all paths from the result to the
# number, of the product of the slopes along each path.** (For `a` there are two paths: 5 and 2·1·3.)
#
# So are we done? *Predict before you run:* we double a number n times, x → x + x → ... For n = 20, how often will
# `push` be called?


# %%
def calls_of_push(doublings):
    x = Value(1.0)
    for _ in range(doublings):
        x = x + x
    calls = 0

    def count(node):
        nonlocal calls
        calls += 1
        for parent, _ in node.trail:
            count(parent)

    count(x)
    return calls


print(" doublings   numbers in the graph   calls of push")
for doublings in (1, 2, 5, 10, chapter.pick(smoke=12, default=16, full=20)):
    print(f"{doublings:>10} {doublings + 1:>22} {calls_of_push(doublings):>15}")

# %% [markdown]
# Twice as many with every addition: there are 2ⁿ paths, and `push` walks each of them. A network has more paths than
# the universe has atoms.
#
# The cure: **do not pass on until everything has arrived.** A number that waits until *all* who used it have reported
# its share can pass on the total, once. Then each edge of the graph is walked exactly once, and all derivatives
# together cost a small multiple of the forward computation, however many there are. That one idea is *reverse-mode
# differentiation*, or backpropagation.
#
# What we need is an order in which each number comes after all that were computed from it: the reverse of a
# **topological order** (parents first). We find it with a stack of our own, as Python's recursion stops at a depth of
# about 1,000, and a real graph may be deeper.


# %%
def topological_order(result):
    """Every number behind `result`, parents always before what was made of them."""
    order, done, stack = [], set(), [result]
    while stack:
        node = stack[-1]
        waiting = [parent for parent, _ in node.trail if parent not in done]
        if waiting:
            stack.extend(waiting)  # first the parents ...
        else:
            stack.pop()
            if node not in done:  # ... then the node; it may stand on the stack twice
                done.add(node)
                order.append(node)
    return order


names = {a: "a", b: "b", c: "c", d: "d", e: "e", L: "L"}
print("topological:", " ".join(names[node] for node in topological_order(L)))
print("backward:   ", " ".join(names[node] for node in reversed(topological_order(L))))

# %% [markdown]
# ## The engine, all of it
#
# Sixty lines, and the order from above. Each operation is one line: the value, and the slope for each parent. Find the
# derivative you know from school in each of them.
#
#     (xⁿ)' = n xⁿ⁻¹      (eˣ)' = eˣ      tanh' = 1 - tanh²      relu(x) = max(x, 0), relu' = 1 for x > 0, else 0
#
# Subtraction and division need no rule of their own: a - b = a + (-1)·b, and a / b = a·b⁻¹.


# %%
class Value:
    """A number that remembers: its trail holds pairs (parent, ∂self/∂parent)."""

    def __init__(self, data, trail=(), op=""):
        self.data, self.trail, self.op, self.grad = data, trail, op, 0.0

    def __repr__(self):
        return f"Value({self.data:.4g}, grad={self.grad:.4g})"

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)), "+")

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, ((self, other.data), (other, self.data)), "×")

    def __pow__(self, n):
        return Value(self.data**n, ((self, n * self.data ** (n - 1)),), f"^{n}")

    def exp(self):
        y = math.exp(self.data)
        return Value(y, ((self, y),), "exp")

    def tanh(self):
        y = math.tanh(self.data)
        return Value(y, ((self, 1.0 - y * y),), "tanh")

    def relu(self):
        return Value(max(self.data, 0.0), ((self, 1.0 if self.data > 0 else 0.0),), "relu")

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-as_value(other))

    def __truediv__(self, other):
        return self * as_value(other) ** -1.0

    def __rsub__(self, other):
        return as_value(other) - self

    def __rtruediv__(self, other):
        return as_value(other) / self

    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        order = topological_order(self)
        for node in order:
            if node.trail:  # not the leaves: theirs add up until you reset them
                node.grad = 0.0
        self.grad = 1.0
        for node in reversed(order):
            for parent, slope in node.trail:
                parent.grad += slope * node.grad


def as_value(x):
    return x if isinstance(x, Value) else Value(x)


a, b, c = Value(2.0), Value(3.0), Value(-1.0)
d = a * b
e = d + c
L = e * a
L.backward()
print("a =", a, "  b =", b, "  c =", c)
by_hand = max(abs(a.grad - 11), abs(b.grad - 4), abs(c.grad - 2))
assert by_hand == 0.0

# %% [markdown]
# It answers for 2²⁰ paths at once, and for a chain a hundred times deeper than Python's recursion allows:

# %%
x = Value(1.0)
y = x
for _ in range(20):
    y = y + y
y.backward()
print("∂(x doubled 20 times)/∂x =", x.grad, "= 2²⁰ =", 2**20)

depth = chapter.pick(smoke=5_000, default=100_000, full=100_000)
x = Value(1.0)
y = x
for _ in range(depth):
    y = y + 1.0
y.backward()
print(f"a chain of {depth:,} additions: ∂y/∂x = {x.grad}")

# %% [markdown]
# ## The picture
#
# Our expression as a graph. Blue is the forward pass: values flow from left to right. Orange is the backward pass: each
# edge carries its slope, each box its gradient. Put a finger on L and walk left: multiply along an edge, add where two
# edges meet. They meet at `a`.


# %%
def draw_graph(axes, boxes, width=0.62, height=0.62):
    """boxes: {node: (label, x, y)}. A box for each number, an arrow for each entry of a trail."""
    for node, (label, x, y) in boxes.items():
        left, right, bottom, top = x - width / 2, x + width / 2, y - height / 2, y + height / 2
        axes.fill([left, right, right, left], [bottom, bottom, top, top], facecolor="white", edgecolor="0.35")
        axes.text(x, y + 0.19, label, ha="center", va="center", fontsize=11, weight="bold")
        axes.text(x, y, f"value {node.data:g}", ha="center", va="center", fontsize=10, color=BLUE)
        axes.text(x, y - 0.19, f"grad {node.grad:g}", ha="center", va="center", fontsize=10, color=ORANGE)
        for parent, slope in node.trail:
            _, x0, y0 = boxes[parent]
            start, end = (x0 + width / 2, y0), (left, y)
            arrow = {"arrowstyle": "-|>", "color": "0.35", "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", xy=end, xytext=start, arrowprops=arrow)
            middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            patch = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
            axes.text(*middle, f"× {slope:g}", ha="center", va="center", fontsize=10, color=ORANGE, bbox=patch)


figure = chapter.figure(8, 4)
axes = figure.add_subplot(xlim=(-0.4, 3.4), ylim=(-0.4, 2.4))
axes.set_axis_off()
draw_graph(
    axes,
    {
        a: ("a", 0, 2),
        b: ("b", 0, 1),
        c: ("c", 1, 0),
        d: ("d = a × b", 1, 1),
        e: ("e = d + c", 2, 1),
        L: ("L = e × a", 3, 1.5),
    },
)
chapter.save(
    figure,
    "graph",
    "The graph of L = (a·b + c)·a. Each arrow carries its local slope. Two arrows leave a, so its gradient is a sum: "
    "1·5 along the upper arrow, and 2·3 along the lower one.",
)

# %% [markdown]
# ## Find the bug: one character
#
# This version of the backward walk differs from ours in a single character, and it passes many tests. Which one? And
# for which expressions is it wrong?


# %%
def backward_with_a_bug(result):
    order = topological_order(result)
    result.grad = 1.0
    for node in reversed(order):
        for parent, slope in node.trail:
            parent.grad = slope * node.grad


for label, expression in (
    ("a·b + c", lambda a, b, c: a * b + c),
    ("(a·b + c)·a", lambda a, b, c: (a * b + c) * a),
    ("a·a", lambda a, b, c: a * a),
):
    right = [Value(2.0), Value(3.0), Value(-1.0)]
    wrong = [Value(2.0), Value(3.0), Value(-1.0)]
    expression(*right).backward()
    backward_with_a_bug(expression(*wrong))
    print(f"{label:<12} right {[v.grad for v in right]}   with the bug {[v.grad for v in wrong]}")

# %% [markdown]
# **Reveal.** `=` where `+=` belongs. As long as each number is used once, the two are the same, so the bug survives
# every test on simple expressions. Where a number is used again, the last report overwrites the earlier ones: 6 instead
# of 11, and 2 instead of 4 for a·a. In a network every weight of a convolution is used thousands of times, and a weight
# that is *shared* would learn from its last use alone.
#
# The same `+=` has a second consequence, which you will meet in every library: **gradients of leaves add up over calls
# of `backward`** until they are reset. That is useful (two half batches make one whole batch), and it is forgotten
# often (chapter 4 has that bug).

# %%
w = Value(3.0)
for _ in range(3):
    (w * 2.0).backward()
    print("∂(2w)/∂w without a reset:", w.grad)

# %% [markdown]
# ## The same in minidl
#
# minidl's `Tensor` has the same interface. Here is our expression once more, and its graph as a page to play with: open
# `figures/01_scalars/graph.html` in a browser, press *step*, and watch the gradients come back one by one. At `a` you
# will see the second one being *added*.

# %%
ta, tb, tc = (minidl.tensor(v.data, dtype="float64", requires_grad=True) for v in (a, b, c))
loss = (ta * tb + tc) * ta
viz.graph(loss, chapter.folder / "graph.html", names={"a": ta, "b": tb, "c": tc}, title="L = (a·b + c)·a")

# %%
loss.backward()
print("minidl's gradients:", [t.grad.item() for t in (ta, tb, tc)], "  ours:", [v.grad for v in (a, b, c)])

# %% [markdown]
# The very same Python functions run on both. So if our engine is right, all derivatives of all expressions agree to the
# last digits. Random expressions are better examiners than hand-picked ones.


# %%
def random_expression(rng, size):
    """A function of three numbers, made of `size` random operations on earlier results."""
    steps = [(rng.choice("+-*/trep"), rng.random(), rng.random()) for _ in range(size)]

    def expression(*inputs):
        known = list(inputs)
        for kind, one, other in steps:
            u, v = known[int(one * len(known))], known[int(other * len(known))]
            known.append(
                {
                    "+": lambda u=u, v=v: u + v,
                    "-": lambda u=u, v=v: 2.0 - u * v,
                    "*": lambda u=u, v=v: u * v,
                    "/": lambda u=u, v=v: u / (v * v + 1.0),
                    "t": lambda u=u: u.tanh(),
                    "r": lambda u=u: u.relu() + u,
                    "e": lambda u=u: (-(u**2.0)).exp(),
                    "p": lambda u=u: (u * u + 1.0) ** 0.5,
                }[kind]()
            )
        return sum(known, start=0.0).tanh() + known[-1]

    return expression


rng = random.Random(0)
worst = 0.0
expressions = chapter.pick(smoke=20, default=200, full=2000)
for _ in chapter.progress(range(expressions), "expressions"):
    expression = random_expression(rng, size=12)
    numbers = [rng.uniform(-1.5, 1.5) for _ in range(3)]
    ours = [Value(x) for x in numbers]
    theirs = [minidl.tensor(x, dtype="float64", requires_grad=True) for x in numbers]
    y, z = expression(*ours), expression(*theirs)
    y.backward()
    z.backward()
    for v, t in zip(ours, theirs, strict=True):
        worst = max(worst, abs(v.grad - t.grad.item()) / (1.0 + abs(v.grad)))
    worst = max(worst, abs(y.data - z.item()) / (1.0 + abs(y.data)))
print(f"{expressions} random expressions, values and gradients: largest relative difference {worst:.1e}")

# %% [markdown]
# What minidl adds to our sixty lines: arrays in place of numbers (chapter 3), a compiled core, gradients of gradients,
# and errors that say what is wrong. The walk back is the same. Open `minidl/autograd.py` and find our loop in `_walk`.

# %% [markdown]
# ## A neuron learns
#
# A neuron is one line: `y = tanh(w₁x₁ + w₂x₂ + b)`. It says +1 for yes and -1 for no. Teach it logic: four examples,
# the loss is the sum of squared errors, and **gradient descent** takes a step against the gradient, `w ← w - η ∂L/∂w`.
#
# *Predict:* which of AND, OR and XOR can a single neuron learn?

# %%
corners = [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)]
gates = {"AND": [-1, -1, -1, 1], "OR": [-1, 1, 1, 1], "XOR": [-1, 1, 1, -1]}


def neuron(weights, x):
    w1, w2, b = weights
    return (w1 * x[0] + w2 * x[1] + b).tanh()


def squared_error(model, weights, targets):
    return sum((model(weights, x) - t) ** 2.0 for x, t in zip(corners, targets, strict=True))


def train(model, weights, targets, steps, rate):
    losses = []
    for _ in range(steps):
        for w in weights:
            w.grad = 0.0  # the reset
        loss = squared_error(model, weights, targets)  # forward
        loss.backward()  # backward
        for w in weights:
            w.data -= rate * w.grad  # the step
        losses.append(loss.data)
    return losses


steps = chapter.pick(smoke=150, default=400, full=2000)
curves, trained = {}, {}
for gate, targets in gates.items():
    rng = random.Random(1)
    weights = [Value(rng.uniform(-0.5, 0.5)) for _ in range(3)]
    curves[gate] = train(neuron, weights, targets, steps, rate=0.1)
    trained[gate] = [w.data for w in weights]
    answers = [neuron(weights, x).data for x in corners]
    right = sum(answer * target > 0.5 for answer, target in zip(answers, targets, strict=True))
    print(f"{gate:<4} loss {curves[gate][0]:.3f} -> {curves[gate][-1]:.3f}   answers", end=" ")
    print(" ".join(f"{answer:+.2f}" for answer in answers), f"  {right} of 4 clearly right")

# %% [markdown]
# AND and OR are learned. XOR is not, and no training will change that: a neuron cuts the plane by one straight line,
# and no line has (-1, 1) and (1, -1) on one side and the other two corners on the other. At its best it answers 0 to
# everything, with a loss of 4.
#
# Two lines can do it. Let two neurons look first, and a third one judge what they say: a network with a *hidden layer*.
# Nothing about the engine changes. The graph is larger, and that is all.


# %%
def network(weights, x):
    first, second = neuron(weights[0:3], x), neuron(weights[3:6], x)
    return neuron(weights[6:9], (first, second))


rng = random.Random(3)
weights = [Value(rng.uniform(-1.0, 1.0)) for _ in range(9)]
curves["XOR, hidden layer"] = train(network, weights, gates["XOR"], steps, rate=0.1)
answers = [network(weights, x).data for x in corners]
xor_right = sum(answer * target > 0.5 for answer, target in zip(answers, gates["XOR"], strict=True))
print(f"XOR with a hidden layer: loss {curves['XOR, hidden layer'][-1]:.4f}, answers", end=" ")
print(" ".join(f"{answer:+.2f}" for answer in answers), f"  {xor_right} of 4 clearly right")

# %%
grid = np.linspace(-1.7, 1.7, chapter.pick(smoke=25, default=100, full=100))


def surface(answer):
    return [[answer((x1, x2)) for x1 in grid] for x2 in grid]


figure = chapter.figure(12, 3.4)
figure.get_layout_engine().set(wspace=0.08)
panels = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.3])
models = {
    "AND": lambda x: math.tanh(trained["AND"][0] * x[0] + trained["AND"][1] * x[1] + trained["AND"][2]),
    "XOR": lambda x: math.tanh(trained["XOR"][0] * x[0] + trained["XOR"][1] * x[1] + trained["XOR"][2]),
    "XOR, hidden layer": lambda x: network(weights, x).data,
}
for axes, (title, answer) in zip(panels, models.items(), strict=False):
    image = axes.pcolormesh(grid, grid, surface(answer), cmap="PuOr_r", vmin=-1.3, vmax=1.3, shading="gouraud")
    axes.contour(grid, grid, surface(answer), levels=[0.0], colors="black", linewidths=1.2)
    for x, target in zip(corners, gates[title[:3]], strict=True):
        axes.plot(*x, "o" if target > 0 else "X", color="black", markersize=10, markerfacecolor="white")
    axes.set(title=title, xlabel="x₁", ylabel="x₂", aspect="equal", xticks=[-1, 1], yticks=[-1, 1])
for gate, color, style in (("AND", BLUE, "-"), ("XOR", ORANGE, "--"), ("XOR, hidden layer", GREEN, "-")):
    panels[3].plot(curves[gate], label=gate, color=color, linestyle=style)
panels[3].set(xlabel="step", ylabel="loss (sum of squared errors)", xlim=(0, 150))
panels[3].legend()
chapter.save(
    figure,
    "neurons",
    "Left: what the models answer, from -1 (violet) to +1 (orange); circles want +1, crosses -1, and the black line is "
    "where the answer changes sign. One line suffices for AND, not for XOR; a hidden layer draws two. Right: the losses.",
)

# %% [markdown]
# ## Your turn
#
# Write each function, run the cell, and the verdict says on which input it differs. `python -m minidl exercises 01.1
# --hint` gives a hint, three times.
#
# **01.1 The slope of a sigmoid.** σ(x) = 1 / (1 + e⁻ˣ) squeezes any number into (0, 1). Given x, return the pair (σ(x),
# σ'(x)), which is all that an operation of our engine has to write down. Express the slope by the value, as for tanh.


# %%
def sigmoid_and_slope(x):
    raise NotImplementedError


teach.check("01.1", sigmoid_and_slope)

# %% [markdown]
# **01.2 The way back.** A graph comes as a list: `trails[i]` holds the pairs (parent, slope) of node i, numbers instead
# of objects. The nodes are in no particular order. Return the list of ∂(node `result`)/∂(node i) for every i; 0 for
# nodes that do not lead to the result.


# %%
def derivatives(trails, result):
    raise NotImplementedError


teach.check("01.2", derivatives)

# %% [markdown]
# **01.3 A neuron's gradient.** For L = (tanh(w·x + b) - t)², with w and x arrays of n numbers, return the gradient with
# respect to w (an array) and to b (a number): the chain rule by hand, through the square, the tanh and the product.


# %%
def neuron_gradient(w, x, b, t):
    raise NotImplementedError


teach.check("01.3", neuron_gradient)

# %% [markdown]
# ## What to remember
#
# - An operation knows its local slopes when it computes. Record them, and the derivative of anything is bookkeeping.
# - ∂L/∂x is the sum over all paths from L to x of the products of slopes. There are exponentially many paths; walking
#   the graph once in reverse topological order adds them all up, at a small multiple of the cost of the forward pass.
# - Where a number is used more than once, the gradients **add**. `+=`, never `=`.
# - Reset the gradients before each step, since leaves keep adding.
# - One neuron is one line in the plane. What it cannot do, a hidden layer can.
#
# **Sources.** S. Linnainmaa, *Taylor expansion of the accumulated rounding error*, BIT 16 (1976), the reverse mode; D.
# Rumelhart, G. Hinton, R. Williams, *Learning representations by back-propagating errors*, Nature 323 (1986); A.
# Griewank, A. Walther, *Evaluating derivatives*, 2nd ed. (2008), for the cost of a gradient; M. Minsky, S. Papert,
# *Perceptrons* (1969), for XOR. The idea of a scalar engine as a lesson is A. Karpathy's *micrograd* (2020).

# %%
chapter.report(
    difference_by_hand=by_hand,
    difference_from_minidl=worst,
    and_loss=curves["AND"][-1],
    xor_one_neuron=curves["XOR"][-1],
    xor_right=xor_right,
)
