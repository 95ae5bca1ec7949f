# %% [markdown]
# # 3. Tensors and broadcasting
#
# The engine of chapter 1 makes an object for every number. One layer of a small network multiplies 100 pictures of 784
# pixels with 784 × 100 weights: sixteen million objects, gigabytes of memory, for what one matrix product does in a
# millisecond. So the numbers go into arrays, and the engine records *one* step for a whole array. Nothing else changes,
# except for one new idea that is easy to get wrong: what happens to gradients when shapes do not match.
#
# **Afterwards** you can read strides, tell a view from a copy, predict the shape of any broadcast, derive its gradient,
# and you know why minidl refuses some things that NumPy does without a word.
#
# **Time**: smoke 2 s, default 3 s, full 4 s. **Data**: none.

# %%
import numpy as np

import minidl
from minidl import teach
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("03_tensors", "Tensors and broadcasting")
rng = np.random.default_rng(0)

# %% [markdown]
# ## An array is memory, and a way to walk through it
#
# Memory is one long row. An array adds three things: where to begin (*offset*), how many elements there are along each
# axis (*shape*), and how far to jump in memory for one step along each axis (*strides*, here counted in elements):
#
#     x[i, j] = memory[offset + i·stride₀ + j·stride₁]


# %%
def element(memory, offset, strides, index):
    return memory[offset + sum(i * stride for i, stride in zip(index, strides, strict=True))]


memory = np.arange(12)
x = memory.reshape(3, 4)
print(x)
print("x[2, 1] is", x[2, 1], "and by hand", element(memory, 0, (4, 1), (2, 1)))

# %% [markdown]
# Change the offset, shape and strides, and the same twelve numbers become another array. Nothing is moved. That is a
# **view**. *Predict* the strides of each before you read on: the transpose; the rows from right to left; every other
# column; one row repeated three times; all windows of width three over the memory.

# %%
windows = np.lib.stride_tricks.sliding_window_view
views = {
    "x": x,
    "x.T": x.T,
    "x[:, ::-1]": x[:, ::-1],
    "x[1:, ::2]": x[1:, ::2],
    "x[0], repeated": np.broadcast_to(x[0], (3, 4)),
    "windows of 3": windows(memory, 3)[:5],
}
start = memory.__array_interface__["data"][0]
walks = {}
print("view              shape    strides   offset   shares memory   walked by hand")
for name, view in views.items():
    strides = tuple(s // memory.itemsize for s in view.strides)
    offset = (view.__array_interface__["data"][0] - start) // memory.itemsize
    by_hand = np.array([element(memory, offset, strides, i) for i in np.ndindex(*view.shape)]).reshape(view.shape)
    walks[name] = np.array_equal(by_hand, view)
    print(f"{name:<15} {view.shape!s:>7} {strides!s:>10} {offset:>8} {np.shares_memory(view, memory)!s:>15}", end="")
    print(f"{'equal' if walks[name] else 'DIFFERENT':>17}")

# %% [markdown]
# A stride of -1 walks backwards, and a **stride of 0 stands still**: a whole row of copies that cost nothing. And the
# windows overlap: their rows share elements. Remember that trick; in chapter 8 a convolution is made of it.


# %%
def draw_grid(axes, numbers, colors, title, text="{:g}"):
    """Numbers in a table; the colour of each cell is a value from 0 to 1."""
    numbers, colors = np.atleast_2d(numbers), np.atleast_2d(colors)
    axes.imshow(colors, cmap="cividis", vmin=0, vmax=1)
    for (i, j), number in np.ndenumerate(numbers):
        ink = "white" if colors[i, j] < 0.5 else "black"
        axes.text(j, i, text.format(number), ha="center", va="center", color=ink, fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])


figure = chapter.figure(9, 6)
panels = figure.subplot_mosaic("mmm;012;345", height_ratios=[0.3, 1, 1.25])
draw_grid(panels["m"], memory, memory / 11, "memory")
for number, (name, view) in enumerate(views.items()):
    strides = tuple(s // memory.itemsize for s in view.strides)
    draw_grid(panels[str(number)], view, view / 11, f"{name}    strides {strides}")
    panels[str(number)].set(xlim=(-0.5, 3.5), ylim=(3.5 if number < 3 else 4.5, -0.5), frame_on=False)
chapter.save(
    figure,
    "views",
    "Six arrays over the same twelve places of memory. The colour is the place in memory, so equal colours are the same "
    "element: repeated rows and overlapping windows take no memory of their own.",
)

# %% [markdown]
# ### View or copy?
#
# Who shares memory shares changes. Slices, transposes, broadcasts are views; a `reshape` is a view *where strides allow
# it*, and otherwise a copy. *Predict:* which of the three changes arrive in x?

# %%
x = np.zeros((3, 4))
x.T[0, 0] = 1  # through a transpose
x.reshape(-1)[1] = 2  # through a reshape
x.T.reshape(-1)[2] = 3  # through a reshape of a transpose: no strides can walk it, so NumPy copies
print(x)

# %% [markdown]
# ## Broadcasting
#
# NumPy, PyTorch and minidl all combine arrays of different shapes by one rule. **Write the shapes one below the other,
# flush right. Along each axis, sizes must be equal, or one of them is 1 (or missing): that one is repeated.**
#
#         x  (32, 10)            a  (3, 1)            u     (4,)
#         b      (10,)           b     (4,)           v  (3,)
#         →  (32, 10)            →  (3, 4)            → does not fit: 4 against 3
#
# *Predict* each line, then run.

# %%
for one, other in (
    ((32, 10), (10,)),
    ((3, 1), (4,)),
    ((4,), (3,)),
    ((5, 1, 4), (3, 1)),
    ((7, 1), (7,)),
    ((2, 3), (2,)),
    ((), (2, 3)),
):
    try:
        print(f"{one!s:>10} with {other!s:<8} gives {np.broadcast_shapes(one, other)}")
    except ValueError:
        print(f"{one!s:>10} with {other!s:<8} does not fit")

# %% [markdown]
# Did (7, 1) with (7,) surprise you? It is legal, it is seldom meant, and it is the bug at the end of this chapter.
#
# ## The way back: what was copied is summed
#
# Let y = a + b with a of shape (3, 1) and b of shape (4,): y_ij = a_i + b_j. Say the gradient of the loss with respect
# to y has arrived, g_ij = ∂L/∂y_ij. Chapter 1 gave the rule: **sum over all paths.** From b_j there is a path to y_ij
# *for every i*, since b_j was used in every row, and each has the slope 1. So
#
#     ∂L/∂b_j = Σᵢ g_ij            ∂L/∂a_i = Σⱼ g_ij
#
# Forward repeats along an axis; backward sums along that axis. It is the `+=` of chapter 1 in the clothes of an array.
# As a function: sum g until it has the shape that the input had.


# %%
def unbroadcast(g, shape):
    while g.ndim > len(shape):  # axes that broadcasting put in front
        g = g.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:  # axes that broadcasting stretched
            g = g.sum(axis=axis, keepdims=True)
    return g


a, b = np.array([[0.0], [10.0], [20.0]]), np.array([1.0, 2.0, 3.0, 4.0])
y = a + b
g = rng.integers(-3, 4, size=(3, 4)).astype(float)
a_grad, b_grad = unbroadcast(g, a.shape), unbroadcast(g, b.shape)
print("gradient of a, shape", a_grad.shape, "\n", a_grad)
print("gradient of b, shape", b_grad.shape, "\n", b_grad)

# %%
figure = chapter.figure(9, 3.4)
left, right = figure.subfigures(1, 2)
for side, title, column, row, table, scale in (
    (left, "forward: a and b are repeated", a, b, y, lambda v: v / 30),
    (right, "backward: g is summed", a_grad, b_grad, g, lambda v: 0.5 + v / 22),
):
    names = ("a", "b", "y = a + b") if side is left else ("Σⱼ g", "Σᵢ g", "g = ∂L/∂y")
    side.suptitle(title, fontsize=11, color=BLUE if side is left else ORANGE)
    panels = side.subplot_mosaic("cb;ay", width_ratios=[1.3, 4], height_ratios=[1, 3])
    panels["c"].set_axis_off()
    directions = "a → → →\nb ↓ ↓ ↓" if side is left else "← Σⱼ\n↑ Σᵢ"
    panels["c"].text(0.5, 0.5, directions, ha="center", va="center", fontsize=11)
    draw_grid(panels["a"], column, scale(column), names[0])
    draw_grid(panels["b"], row, scale(row), names[1])
    draw_grid(panels["y"], table, scale(table), "")
    panels["y"].set_xlabel(names[2])
chapter.save(
    figure,
    "broadcast",
    "A column a of shape (3, 1) and a row b of shape (4,). Forward, a is repeated to the right and b downwards. "
    "Backward, each row of g is summed for a, each column for b.",
)

# %% [markdown]
# ### Is it right?
#
# Chapter 2 taught us to ask. Three examiners who know nothing of each other:
#
# 1. **central differences**;
# 2. **the adjoint identity**: repeating and summing are transposes of each other, so for all x and g the two dot
#    products agree, ⟨broadcast(x), g⟩ = ⟨x, unbroadcast(g)⟩;
# 3. `minidl.sum_to`, the function that all of minidl's arithmetic uses for this.

# %%
worst = {"differences": 0.0, "adjoint": 0.0, "sum_to": 0.0}
for small, large in (((4,), (3, 4)), ((3, 1), (3, 4)), ((1, 4), (3, 4)), ((), (2, 3)), ((2, 1, 3), (5, 2, 4, 3))):
    v, g = rng.normal(size=small), rng.normal(size=large)
    analytic = unbroadcast(g, small)
    numeric = np.zeros(small)
    for i in np.ndindex(*small):
        e = np.zeros(small)
        e[i] = 1e-5
        numeric[i] = ((g * np.broadcast_to(v + e, large)).sum() - (g * np.broadcast_to(v - e, large)).sum()) / 2e-5
    worst["differences"] = max(worst["differences"], np.abs(analytic - numeric).max())
    worst["adjoint"] = max(worst["adjoint"], abs((np.broadcast_to(v, large) * g).sum() - (v * analytic).sum()))
    worst["sum_to"] = max(worst["sum_to"], np.abs(analytic - minidl.sum_to(g, small)).max())
print("largest difference from", ", from ".join(f"{name} {value:.0e}" for name, value in worst.items()))

# %% [markdown]
# ## The sixty lines, with arrays
#
# In chapter 1 the trail held pairs (parent, slope). The slope of an array with respect to an array is a Jacobian: for a
# layer with 100 × 784 inputs and 100 × 100 outputs, 784 million numbers, nearly all of them zero. Nobody writes it
# down. All that backward ever needs is *gradient times Jacobian*, and each operation can do that multiplication in a
# short cut of its own. So the trail now holds **functions**: given the gradient of the output, return that of the
# parent (a *vector-Jacobian product*, vjp).
#
# Compare line by line with `Value` (relu and division are left out: nothing is new there). New are `unbroadcast` and
# the matrix product. For y = x w, with index notation, y_ik = Σⱼ x_ij w_jk, so ∂L/∂x_ij = Σₖ g_ik w_jk, which is g wᵀ,
# and ∂L/∂w_jk = Σᵢ x_ij g_ik, which is xᵀ g. (Or remember it by shapes: there is only one way to multiply g with w that
# has the shape of x.)


# %%
class Array:
    """An array that remembers: its trail holds pairs (parent, how to bring a gradient back to it)."""

    __array_ufunc__ = None  # leave `ndarray + Array` to us

    def __init__(self, data, trail=()):
        self.data, self.trail, self.grad = np.asarray(data, dtype=float), trail, None

    def __add__(self, other):
        other = as_array(other)
        trail = ((self, lambda g: unbroadcast(g, self.data.shape)), (other, lambda g: unbroadcast(g, other.data.shape)))
        return Array(self.data + other.data, trail)

    def __mul__(self, other):
        other = as_array(other)
        trail = (
            (self, lambda g: unbroadcast(g * other.data, self.data.shape)),
            (other, lambda g: unbroadcast(g * self.data, other.data.shape)),
        )
        return Array(self.data * other.data, trail)

    def __matmul__(self, other):
        trail = ((self, lambda g: g @ other.data.T), (other, lambda g: self.data.T @ g))
        return Array(self.data @ other.data, trail)

    def __pow__(self, n):
        return Array(self.data**n, ((self, lambda g: g * n * self.data ** (n - 1)),))

    def exp(self):
        y = np.exp(self.data)
        return Array(y, ((self, lambda g: g * y),))

    def tanh(self):
        y = np.tanh(self.data)
        return Array(y, ((self, lambda g: g * (1 - y * y)),))

    def sum(self):
        return Array(self.data.sum(), ((self, lambda g: np.broadcast_to(g, self.data.shape)),))

    def mean(self):
        return self.sum() * (1 / self.data.size)

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-as_array(other))

    __radd__, __rmul__ = __add__, __mul__

    def backward(self):
        gradients = {self: np.ones_like(self.data)}
        for node in reversed(topological_order(self)):
            g = gradients.pop(node)
            if not node.trail:
                node.grad = g if node.grad is None else node.grad + g
            for parent, vjp in node.trail:
                gradients[parent] = gradients[parent] + vjp(g) if parent in gradients else vjp(g)


def as_array(x):
    return x if isinstance(x, Array) else Array(x)


def topological_order(result):  # as in chapter 1
    order, done, stack = [], set(), [result]
    while stack:
        node = stack[-1]
        waiting = [parent for parent, _ in node.trail if parent not in done]
        if waiting:
            stack.extend(waiting)
        else:
            stack.pop()
            if node not in done:
                done.add(node)
                order.append(node)
    return order


# %% [markdown]
# The sum repeats its gradient on the way back, as broadcasting sums: the two are each other's backward. A network with
# one hidden layer, in our engine and in minidl, is the same Python function:


# %%
def network(x, w1, b1, w2, b2):
    return (x @ w1 + b1).tanh() @ w2 + b2


def mean_squared_error(prediction, target):
    return ((prediction - target) ** 2.0).mean()


def random_weights(hidden):
    return [rng.normal(size=(1, hidden)) * 2, rng.normal(size=hidden), rng.normal(size=(hidden, 1)) * 0.5, np.zeros(1)]


inputs, target, values = rng.normal(size=(20, 1)), rng.normal(size=(20, 1)), random_weights(8)
ours = [Array(v) for v in values]
theirs = [minidl.tensor(v, requires_grad=True) for v in values]
mean_squared_error(network(Array(inputs), *ours), Array(target)).backward()
mean_squared_error(network(minidl.tensor(inputs), *theirs), minidl.tensor(target)).backward()
for name, one, other in zip(("w1", "b1", "w2", "b2"), ours, theirs, strict=True):
    print(
        f"∂L/∂{name} of shape {one.grad.shape!s:<7} differs from minidl's by",
        np.abs(one.grad - other.grad.numpy()).max(),
    )
from_minidl = max(np.abs(one.grad - other.grad.numpy()).max() for one, other in zip(ours, theirs, strict=True))

# %% [markdown]
# ## What NumPy lets you do, and minidl does not
#
# ### Types
#
# float32 holds 24 binary digits, float64 holds 53. Networks compute in float32: half the memory and twice the speed,
# and precise enough. *Predict* the four lines.

# %%
print("float32: 16777216 + 1 =", int(np.float32(16777216) + np.float32(1)))
print("0.1 + 0.2 == 0.3:", 0.1 + 0.2 == 0.3, " in float32:", np.float32(0.1) + np.float32(0.2) == np.float32(0.3))
t = minidl.tensor([1.0, 2.0])
print("a float32 tensor times a Python number is", (t * 2.5).dtype, "and times a float64 array", (t * np.ones(2)).dtype)
print("whole numbers divided are", (minidl.tensor([1, 2]) / 2).dtype)

# %% [markdown]
# (That 0.3 is luck: in float32 the rounding errors happen to agree. Never compare floats with ==.)
#
# One float64 array that slips in (NumPy makes them by default) turns all that it touches into float64: twice the
# memory, half the speed, no message. And a slope of something that can only jump makes no sense, so integers have none:

# %%
try:
    minidl.tensor([1, 2, 3], requires_grad=True)
except minidl.errors.DTypeError as error:
    print(error)

# %% [markdown]
# ### Changes in place
#
# Backward needs what forward saw. `exp` keeps its result y, because its slope *is* y. What if somebody overwrites y in
# between? Our engine:

# %%
p = Array([0.0, 1.0])
q = p.exp()
total = q.sum()
q.data *= 0  # "I do not need q any more"
total.backward()
print("our gradient of Σ exp(p):", p.grad, " right:", np.exp([0.0, 1.0]))

# %% [markdown]
# Wrong, without a word. In minidl every array that an operation saved has a **version**, counted up by each change in
# place, and backward compares:

# %%
p = minidl.tensor([0.0, 1.0], requires_grad=True)
q = p.exp()
total = q.sum()
with minidl.no_grad():
    q[...] = 0
try:
    total.backward()
    version_noticed = False
except minidl.errors.GraphError as error:
    version_noticed = True
    print(error)

# %% [markdown]
# A view of q shares its version, so the change is noticed through a slice or a transpose as well. (Writing into
# `q.data` goes behind minidl's back. Do not.)
#
# ## Find the bug: (N,) against (N, 1)
#
# Fit a curve: 80 points of sin(3x) with noise, and the network from above, trained by gradient descent with our engine.
# Two programs again, that differ in how the targets were loaded. Both run. Their losses go down, and stop. One of them
# has learned nothing.

# %%
points = np.sort(rng.uniform(-1.5, 1.5, size=(80, 1)), axis=0)
curve = np.sin(3 * points) + 0.15 * rng.normal(size=points.shape)
first_weights = random_weights(16)
targets = {"A": curve, "B": curve.reshape(-1)}  # (80, 1) and (80,)

dense = np.linspace(-1.5, 1.5, 200)[:, None]
fits, curves, losses = {}, {}, {}
for name, target in targets.items():
    weights = [Array(v.copy()) for v in first_weights]
    steps = chapter.pick(smoke=400, default=3000, full=10_000)
    losses[name] = []
    for _ in chapter.progress(range(steps), f"program {name}"):
        loss = mean_squared_error(network(Array(points), *weights), Array(target))
        loss.backward()
        for w in weights:
            w.data = w.data - 0.1 * w.grad
            w.grad = None
        losses[name].append(float(loss.data))
    fits[name] = network(Array(points), *weights).data
    curves[name] = network(Array(dense), *weights).data
    print(f"program {name}: loss {losses[name][0]:.3f} -> {losses[name][-1]:.3f}")

# %% [markdown]
# **Reveal.** In B the prediction has shape (80, 1) and the target (80,). Flush right: (80, 1) against (80,) gives

# %%
print("prediction - target has shape", (fits["B"] - targets["B"]).shape)
print("variance of the targets:", round(float(curve.var()), 3), " their mean:", round(float(curve.mean()), 3))
print("what B predicts: from", fits["B"].min().round(3), "to", fits["B"].max().round(3))

# %% [markdown]
# 6,400 differences: *every* prediction against *every* target. The mean of their squares is smallest if each prediction
# is the mean of all targets, so B learns a flat line, and its loss can never fall below the variance of the targets.
# "The network is too small", one thinks, or "the data is too noisy", and buys a larger one.
#
# In minidl the losses do not broadcast, whatever NumPy thinks:

# %%
try:
    minidl.mse_loss(minidl.tensor(fits["B"]), minidl.tensor(targets["B"]))
    shapes_refused = False
except minidl.errors.ShapeError as error:
    shapes_refused = True
    print(error)

# %%
figure = chapter.figure(10, 3.6)
left, right = figure.subplots(1, 2)
left.plot(points, curve, ".", color="0.6", label="data")
left.plot(dense, curves["A"], color=BLUE, lw=2, label="A: targets (80, 1)")
left.plot(dense, curves["B"], color=ORANGE, lw=2, ls="--", label="B: targets (80,)")
left.set(xlabel="x", ylabel="y", ylim=(-1.6, 2.4))
left.legend(loc="upper center", ncols=3, fontsize=8)
right.loglog(np.arange(1, steps + 1), losses["A"], color=BLUE, label="A")
right.loglog(np.arange(1, steps + 1), losses["B"], color=ORANGE, ls="--", label="B")
right.axhline(curve.var(), color=GREEN, lw=1)
right.text(steps, curve.var() * 0.97, "variance of the targets", color=GREEN, ha="right", va="top", fontsize=9)
right.set(xlabel="step", ylabel="mean squared error")
right.legend()
chapter.save(
    figure,
    "shapes",
    "The same network, data and learning rate. With targets of shape (80,) the difference broadcasts to (80, 80), the best "
    "answer is the mean of all targets, and the loss stays at their variance.",
)

# %% [markdown]
# ## Your turn
#
# **03.1 The rule.** Given two shapes (tuples), return the shape of their broadcast, or False where they do not fit.
# Write it from the rule, without NumPy.


# %%
def broadcast_shape(one, other):
    raise NotImplementedError


teach.check("03.1", broadcast_shape)

# %% [markdown]
# **03.2 Back through a dense layer.** For y = x w + b with x (n, i), w (i, o) and b (o,), and the gradient of y given,
# return the gradients of x, w and b.


# %%
def dense_backward(gradient, x, w, b):
    raise NotImplementedError


teach.check("03.2", dense_backward)

# %% [markdown]
# **03.3 Back through centring.** y = x - (mean of each row of x), for x of shape (n, m). Each element of x moves its
# own y *and* the mean, hence every y of its row. Return the gradient of x.


# %%
def centre_backward(gradient, x):
    raise NotImplementedError


teach.check("03.3", centre_backward)

# %% [markdown]
# **03.4 All pairs, on purpose.** d_ij = (u_i - v_j)² for u of n numbers and v of m numbers. Return the gradients of u
# and v.


# %%
def pairs_backward(gradient, u, v):
    raise NotImplementedError


teach.check("03.4", pairs_backward)

# %% [markdown]
# ## What to remember
#
# - An array is memory, offset, shape and strides. Views share memory; a stride of 0 is a repetition for free.
# - Shapes flush right; equal, or one of them 1.
# - **What forward repeats, backward sums; what forward sums, backward repeats.**
# - A slope becomes a function: gradient in, gradient out. The Jacobian itself is never written down.
# - Every gradient has the shape of its tensor. A wrong shape is the cheapest sign of a wrong gradient.
# - (N,) is not (N, 1). Print shapes when a loss stops at the variance.
#
# **Sources.** The NumPy manual, *Broadcasting* and *Internal organization of NumPy arrays*; S. van der Walt, S.
# Colbert, G. Varoquaux, *The NumPy array*, Computing in Science & Engineering 13 (2011); A. Griewank, A. Walther,
# *Evaluating derivatives*, 2nd ed. (2008), chapter 3 (adjoints); in minidl: `ops/broadcast.py` and `ops/arithmetic.py`,
# two pages to read next.

# %%
chapter.report(
    views_walked=sum(walks.values()),
    unbroadcast=max(worst.values()),
    difference_from_minidl=from_minidl,
    version_noticed=version_noticed,
    shapes_refused=shapes_refused,
    loss_a=losses["A"][-1],
    loss_b=losses["B"][-1],
    variance=float(curve.var()),
)
