# %% [markdown]
# # 9. Write an operation
#
# Sooner or later you need an operation that no library has, or you have an idea how one should be done better. This chapter writes
# one as minidl's own are written: forward, backward, second order, errors that teach, a case, and into the certificate. It is
# the real protocol, not a simplified one; at the end `python -m minidl gradcheck` proves your operation next to `conv2d`.
#
# **Afterwards** you can derive a gradient with indices, write an `Op` that can be differentiated any number of times, tell by
# its error message which of five classic mistakes you made, and prove that you made none.
#
# **Time**: smoke 2 s, default 3 s, full 3 s. **Data**: none.
#
# You need chapters 1 and 2, and the idea of the adjoint from chapter 8. Chapter 10 gives this operation a fast kernel.

# %%
from __future__ import annotations

import inspect
import os
import subprocess
import sys

import numpy as np

import minidl
from minidl import teach
from minidl.certificate import certify, check_case, format_table
from minidl.errors import MinidlError, ShapeError
from minidl.gradcheck import Case, call, cases
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("09_operation", "Write an operation")
rng = np.random.default_rng(0)

# %% [markdown]
# ## The operation
#
# Given $N$ points $x_i$ and $M$ points $y_j$ with $K$ coordinates each: the squared distance of every pair,
#
# $$ D_{ij} = \sum_k (x_{ik} - y_{jk})^2 . $$
#
# It is the inside of nearest neighbours, of k-means, of radial basis functions, and of every contrastive loss. Two points and three, in the
# plane, to have numbers in hand. **Compute one of the six yourself** before you run the cell.

# %%
x = np.array([[0.0, 0.0], [3.0, 4.0]])
y = np.array([[0.0, 1.0], [3.0, 0.0], [3.0, 4.0]])
print(((x[:, None, :] - y[None, :, :]) ** 2).sum(-1))

# %% [markdown]
# ## Why not just write it down?
#
# Written with minidl's operations, that one line has its gradient already. That is always the first thing to try:


# %%
def composed(x, y):
    difference = minidl.unsqueeze(x, 1) - minidl.unsqueeze(y, 0)  # (N, M, K)
    return minidl.sum(difference * difference, 2)


a, b = minidl.tensor(x, requires_grad=True), minidl.tensor(y, requires_grad=True)
composed(a, b).sum().backward()
print("gradient with respect to x:\n", a.grad.numpy())

# %% [markdown]
# What is wrong with it is the shape in the comment. The result has $N·M$ numbers, but on the way there were $N·M·K$ of them, three times
# over (the difference, its square, and on the way back their gradient), and the graph holds on to the difference until backward has
# passed. **Guess** what that is for 2,000 points, 2,000 centres, and 64 coordinates, in float32.

# %%
points, features = 2000, 64
print(f"the result           {points * points * 4 / 1e6:8.0f} MB")
print(f"one array (N, M, K)  {points * points * features * 4 / 1e6:8.0f} MB")

# %% [markdown]
# One gigabyte, to compute 16 megabytes. So we write an operation of our own that saves only what it needs.
#
# ## The gradient, with indices
#
# Backward is given $g_{ij} = ∂L/∂D_{ij}$. Ask for one coordinate of one point, $x_{ik}$: **in which results does it
# occur?** In the whole row $i$. So
#
# $$ \frac{∂L}{∂x_{ik}} = \sum_j g_{ij} \frac{∂D_{ij}}{∂x_{ik}} = \sum_j g_{ij}\; 2\,(x_{ik} - y_{jk})
#    = 2 \Big( \underbrace{\textstyle\sum_j g_{ij}}_{\text{row sums}} x_{ik} - \underbrace{(g\, y)_{ik}}_{\text{a product}} \Big). $$
#
# The last step is worth a gigabyte: opening the bracket turns the sum over pairs into a matrix product, and no array of
# three dimensions is left. For $y_{jk}$ it is the column $j$, and the sign is the other one inside the bracket, so it comes out the same:
#
# $$ \frac{∂L}{∂y_{jk}} = 2 \Big( \sum_i g_{ij}\, y_{jk} - (g^{\mathsf T} x)_{jk} \Big). $$
#
# A check that costs nothing: $∂L/∂x$ must have the shape of $x$. $g y$ is $(N, M)(M, K)$. Good.
#
# ## Forward and backward
#
# An operation is a class. `forward` sees plain arrays and returns one. `save` keeps what backward will need. `backward` gets the
# gradient of the output and returns one gradient for each input.


# %%
class SquaredDistances(minidl.Op):
    """D[i, j] = Σ_k (x[i, k] - y[j, k])²;  ∂L/∂x = 2 (rowsum(g) x - g y),  ∂L/∂y = 2 (colsum(g) y - gᵀ x)."""

    def forward(self, x, y):
        self.save(x, y)
        d = np.zeros((len(x), len(y)), x.dtype)
        for k in range(x.shape[1]):  # one coordinate at a time: never more than (N, M) numbers
            difference = x[:, k, None] - y[None, :, k]
            d += difference * difference
        return d

    def backward(self, grad):
        x, y = self.saved
        rows = minidl.sum(grad, 1, keepdim=True)  # (N, 1)
        columns = minidl.unsqueeze(minidl.sum(grad, 0), 1)  # (M, 1)
        return (
            2 * (rows * x - minidl.matmul(grad, y)) if self.needs[0] else None,
            2 * (columns * y - minidl.matmul(minidl.swapaxes(grad, 0, 1), x)) if self.needs[1] else None,
        )


# %% [markdown]
# Three things are worth a second look.
#
# - **`backward` is written in minidl's operations**, not in NumPy's. For an ordinary gradient it is called with plain arrays, and minidl's functions
#   then just compute. But when somebody wants the gradient of the gradient, the *same lines* are called with Tensors, and are
#   recorded like any other computation. That is all there is to second order: nobody writes it. (`grad.sum(1, keepdims=True)` would be
#   NumPy's spelling and would break there.)
# - **What it saves are its inputs.** The row sums are computed again each time.
# - **`self.needs`** says whose gradient is wanted at all. Often one of the two is data.
#
# (An operation with an option, the $β$ of exercise 9.1 for instance, takes it in `__init__(self, beta)` and keeps it as `self.beta`: a plain
# number, not an array. The call is then `SmoothMax(beta)(x)`.)
#
# And a function around the class, because users call functions, and because it is the place to refuse what makes no sense:


# %%
def squared_distances(x, y):
    """Squared Euclidean distance of each row of x (N, K) to each row of y (M, K): an (N, M) Tensor."""
    if x.ndim != 2 or y.ndim != 2:
        raise ShapeError("squared_distances", expected="two sets of points, (N, K) and (M, K)",
                         actual=f"shapes {tuple(x.shape)} and {tuple(y.shape)}", hint="one point is x.unsqueeze(0)")  # fmt: skip
    if x.shape[1] != y.shape[1]:
        raise ShapeError("squared_distances", expected="as many coordinates in x as in y",
                         actual=f"{x.shape[1]} and {y.shape[1]}", hint="points are rows: transpose one of the two?")  # fmt: skip
    return SquaredDistances()(x, y)


a, b = minidl.tensor(x, requires_grad=True), minidl.tensor(y, requires_grad=True)
distances = squared_distances(a, b)
print(distances)
distances.sum().backward()
print("gradient with respect to x, as before:\n", a.grad.numpy())

# %% [markdown]
# ## Is it right?
#
# Chapter 2: finite differences. Order 2 checks the gradient of the gradient, which here is worth something: $D$ is a polynomial of degree 2,
# and its gradient depends on $g$, $x$ and $y$ at once.

# %%
x = minidl.tensor(rng.normal(size=(3, 2)), requires_grad=True)
y = minidl.tensor(rng.normal(size=(4, 2)), requires_grad=True)
proven = minidl.gradcheck(squared_distances, [x, y], order=2)
print("orders 1 and 2 agree with central differences:", proven)

# %% [markdown]
# ## Five mistakes, and what they look like
#
# You will make each of these once. So make them now, on purpose, and read what minidl says. For each one **guess first**: is it noticed, and by
# whom? By forward, by backward, by the check to first order, or only by the check to second order?


# %%
def attempt(what, run):
    """Run something that should fail, and print in one line how it did."""
    try:
        result = run()
    except (MinidlError, TypeError) as error:
        print(f"{what}:\n    {type(error).__name__}: {error}\n")
        return True
    print(f"{what}:\n    no complaint: {result}\n")
    return False


class GradientsExchanged(SquaredDistances):
    def backward(self, grad):
        grad_x, grad_y = super().backward(grad)
        return grad_y, grad_x


class SlightlyWrong(SquaredDistances):
    def backward(self, grad):
        grad_x, grad_y = super().backward(grad)
        return grad_x * 1.0005, grad_y  # 2.001 in place of 2


class InNumPy(SquaredDistances):
    def backward(self, grad):
        x, y = self.saved
        difference = np.subtract(x[:, None], y[None])
        return 2 * np.einsum("ij,ijk->ik", grad, difference), -2 * np.einsum("ij,ijk->jk", grad, difference)


class SavesTheDifference(SquaredDistances):
    def forward(self, x, y):
        difference = x[:, None] - y[None]
        self.save(x, y, difference)  # so that backward need not compute it again
        return (difference * difference).sum(-1)


def check_of(operation, order):
    return lambda: minidl.gradcheck(lambda x, y: operation()(x, y), [x, y], order=order)


noticed = [
    attempt("1. the two gradients exchanged", check_of(GradientsExchanged, 1)),
    attempt("2. 2.001 for 2", check_of(SlightlyWrong, 1)),
    attempt("3. backward in NumPy, to first order", check_of(InNumPy, 1)),
    attempt("   the same, to second order", check_of(InNumPy, 2)),
    attempt("4. a float is saved that is neither input nor output", check_of(SavesTheDifference, 1)),
    attempt("5. the user transposes", lambda: squared_distances(x, minidl.swapaxes(y, 0, 1))),
]

# %% [markdown]
# A gradient that is wrong by five hundredths of a per cent is found, and named with the place and both values: a training curve would never
# have shown it. Only number 3 passes the first test, and fails the second.
#
# Why is number 4 forbidden, when the difference is perfectly good for a gradient? Here is what would happen.
#
# ## Find the bug
#
# The same idea again; this student kept the difference on `self`, where `save` cannot see it. First order agrees to ten digits. So
# where is the bug?


# %%
class Smuggler(SquaredDistances):
    def forward(self, x, y):
        self.difference = x[:, None] - y[None]
        self.save(x, y)
        return (self.difference * self.difference).sum(-1)

    def backward(self, grad):
        weighted = 2 * minidl.unsqueeze(grad, 2) * self.difference
        return minidl.sum(weighted, 1), -minidl.sum(weighted, 0)


attempt("to first order", check_of(Smuggler, 1))
smuggler_noticed = attempt("to second order", check_of(Smuggler, 2))


def second_derivative(operation):
    """∂²/∂x² of the distance of x = 3 to y = 1: (x - y)² has the second derivative 2."""
    x, y = minidl.tensor([[3.0]], requires_grad=True), minidl.tensor([[1.0]])
    (first,) = minidl.grad(operation()(x, y).sum(), x, create_graph=True)
    if not first.requires_grad:
        return 0.0
    (second,) = minidl.grad(first.sum(), x, allow_unused=True)
    return 0.0 if second is None else second.item()


smuggled = second_derivative(Smuggler)
print(f"second derivative of (x - 1)² at 3: {second_derivative(SquaredDistances)}, the smuggler says {smuggled}")

# %% [markdown]
# **The reveal.** `self.difference` is a plain array. To second order, backward is differentiated itself, and for that it has to
# *see* how everything it uses depends on the inputs. An array has no history: its derivative is taken as zero. No error, no NaN, just the wrong
# number, and only for those who need second derivatives (gradient penalties, meta-learning, Newton's method). A
# well-known library had exactly this in its batch norm. Hence the rule:
#
# > **Every float that a gradient depends on is an input or an output of the operation.** Integers and masks may be kept: they do not change
# > under a small step.
#
# ## One more decision: which forward?
#
# There is a famous trick for the forward as well: $D_{ij} = |x_i|^2 + |y_j|^2 - 2\, x_i·y_j$, where the expensive part is a matrix product, the
# fastest thing a computer can do. It is the same formula, on paper. **What do you expect** in float32, seven digits, for two points that are
# close to each other and far from the origin?


# %%
def by_products(x, y):
    return (x * x).sum(1)[:, None] + (y * y).sum(1)[None, :] - 2 * x @ y.T


shifts = 10.0 ** np.arange(0, 5)
cloud, other = rng.normal(size=(50, 8)), rng.normal(size=(60, 8))
exact = ((cloud[:, None] - other[None]) ** 2).sum(-1)
worst = {"by differences": [], "by products": []}
negative = []
for shift in shifts:
    near, far = (cloud + shift).astype(np.float32), (other + shift).astype(np.float32)
    true = ((near[:, None].astype(float) - far[None].astype(float)) ** 2).sum(-1)  # of the rounded points, in float64
    worst["by differences"].append(np.max(abs(SquaredDistances()(near, far) - true) / true))
    worst["by products"].append(np.max(abs(by_products(near, far) - true) / true))
    negative.append(int((by_products(near, far) < 0).sum()))
    print(f"shifted by {shift:7.0f}: error by differences {worst['by differences'][-1]:.1e}, by products {worst['by products'][-1]:.1e}; "
          f"negative “distances”: {negative[-1]} of {true.size}")  # fmt: skip

# %%
figure = chapter.figure(6, 3.6)
axis = figure.subplots()
axis.loglog(shifts, worst["by differences"], "o-", color=BLUE, label="by differences, Σ (x - y)²")
axis.loglog(shifts, worst["by products"], "s-", color=ORANGE, label="by products, |x|² + |y|² - 2 x·y")
axis.axhline(1, color="grey", linestyle=":", linewidth=1)
axis.text(shifts[0], 1.3, "no digit is right", fontsize=8, color="#555555", va="bottom")
axis.set(
    xlabel="distance of the points from the origin (typical distance of two points: 4)", ylabel="largest relative error"
)
axis.legend()
chapter.save(
    figure,
    "cancellation",
    "The same formula twice, in float32. Opening the bracket subtracts two large numbers that are nearly equal, and the "
    "digits that are left are noise.",
)

# %% [markdown]
# The trick subtracts numbers of the size of shift² to get one of size 10: *cancellation*, as in chapter 2. At 1,000 no digit is right; at
# 10,000 some distances are negative, and `sqrt` of those is NaN: a bug report that many libraries have received. So our
# forward takes the differences, and chapter 10 makes them fast.
#
# (In the *backward* we opened the bracket without a qualm. Why may we? Because nothing is squared there: numbers of the size of the shift, not of
# its square, are subtracted. At 1,000 three digits of seven are lost, not all.)
#
# ## A case, and the certificate
#
# A test that you ran once in a notebook is gone tomorrow. minidl keeps a **registry of cases**: for each operation, how to draw inputs, and an
# *oracle* that computes the same value by other means. From these it derives everything else: finite differences to the order you ask, the type
# of the result for float32, transposed and read-only inputs, inputs left unchanged, gradients that share no memory, every backend.


# %%
def distances_by_loops(x, y):
    """The oracle: what the definition says, one number at a time. It must not share code with what it judges."""
    return np.array(
        [[sum((x[i, k] - y[j, k]) ** 2 for k in range(x.shape[1])) for j in range(len(y))] for i in range(len(x))]
    )


samples = {
    "few points": lambda rng: call(rng.normal(size=(3, 2)), rng.normal(size=(4, 2))),
    "one coordinate": lambda rng: call(rng.normal(size=(2, 1)), rng.normal(size=(3, 1))),
    "far from the origin": lambda rng: call(rng.normal(size=(2, 3)) + 5, rng.normal(size=(1, 3)) + 5),
}
cases(squared_distances, distances_by_loops, samples)

reports = certify(["squared_distances", "matmul"])
print(format_table(reports))

# %% [markdown]
# There it stands, beside an operation of the house. Good cases have sizes that are all different (so that a transposed matrix cannot pass), one
# of the sizes 1, and values that are not symmetric around anything. (An option is passed by name, `call(x, beta=2.0)`, to the function and to the oracle.)
#
# Does the certificate also say *no*? A check that never failed has not been checked. The mistake from above, through the same matrix:

# %%
broken = Case(lambda x, y: Smuggler()(x, y), "planted", samples["few points"], distances_by_loops)
_, failures = check_case(broken, order=2)
print("\n".join(failures[:2]))

# %% [markdown]
# ## From a module of your own
#
# Put the class, the function and the cases into a file, say `my_ops.py`, and ask the command line to import it first:
#
#     python -m minidl gradcheck squared_distances --module my_ops
#
# We do exactly that here: the file is put together from the cells above.


# %%
def source_of(part):
    """The text of a function; of a class, its methods (a notebook knows the sources of functions alone)."""
    if not isinstance(part, type):
        return inspect.getsource(part)
    methods = [inspect.getsource(value) for value in vars(part).values() if inspect.isfunction(value)]
    return f'class {part.__name__}(minidl.Op):\n    """{part.__doc__}"""\n\n' + "\n".join(methods)


module = "\n\n".join(
    [
        "import numpy as np\n\nimport minidl\nfrom minidl.errors import ShapeError\nfrom minidl.gradcheck import call, cases\n",
        source_of(SquaredDistances),
        source_of(squared_distances),
        source_of(distances_by_loops),
        'cases(squared_distances, distances_by_loops, {"few points": lambda rng: call(rng.normal(size=(3, 2)), rng.normal(size=(4, 2)))})\n',
    ]
)
chapter.folder.mkdir(parents=True, exist_ok=True)
(chapter.folder / "my_ops.py").write_text(module)
if chapter.mode != "smoke":
    command = [sys.executable, "-m", "minidl", "gradcheck", "squared_distances", "--module", "my_ops"]
    where = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
    }  # minidl need not be installed
    result = subprocess.run(command, capture_output=True, text=True, cwd=chapter.folder, env=where)
    print("$", " ".join(["python", *command[1:]]))
    print(result.stdout or result.stderr)

# %% [markdown]
# ## Use it
#
# What is it good for? Four clouds of points, and four *prototypes* that start badly: all in one corner. Each point pulls on the
# prototypes near it, most of all on the nearest: the loss is the *soft minimum* of its distances, $-T \log \sum_j e^{-D_{ij}/T}$. Our operation
# sits in the middle of it, and Adam does the rest.

# %%
centres = np.array([[-2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [2.0, 2.0]])
data = minidl.tensor((centres[:, None] + 0.5 * rng.normal(size=(4, 40, 2))).reshape(-1, 2))
prototypes = minidl.tensor(rng.normal(size=(4, 2)) * 0.3 + [2.5, 0.0], requires_grad=True)
optimizer = minidl.optim.Adam([prototypes], lr=0.1)
path, losses = [prototypes.detach().numpy().copy()], []
for step in range(chapter.pick(smoke=200, default=200, full=400)):
    temperature = max(0.5, 8.0 * 0.97**step)  # warm first, so that every prototype feels every point
    loss = (-temperature * minidl.logsumexp(-squared_distances(data, prototypes) / temperature, 1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    path.append(prototypes.detach().numpy().copy())
nearest = squared_distances(prototypes.detach(), minidl.tensor(centres)).numpy()
misses = np.sqrt(nearest.min(0))
print(f"distance of each cloud's centre to the nearest prototype: {np.round(misses, 2)}")

# %%
figure = chapter.figure(5, 4.6)
axis = figure.subplots()
axis.scatter(*data.numpy().T, s=8, color="#bbbbbb", label="data")
for number, line in enumerate(np.array(path).transpose(1, 2, 0)):
    axis.plot(*line, color=BLUE, linewidth=1.2, label="path of a prototype" if number == 0 else None)
axis.scatter(*path[0].T, color=GREEN, marker="s", label="start", zorder=3)
axis.scatter(*path[-1].T, color=ORANGE, marker="*", s=150, label="end", zorder=3)
axis.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
axis.legend(fontsize=8, loc="center left")
chapter.save(
    figure,
    "prototypes",
    "Four prototypes find four clouds by gradient descent through the new operation. While the temperature is high they share "
    "all points; as it falls, each keeps one cloud.",
)

# %% [markdown]
# ## Exercises
#
# **9.1** The smooth maximum of a row, $y_i = \frac1β \log \frac1n \sum_j e^{β x_{ij}}$. Write its backward: given `gradient`
# = ∂L/∂y (one number a row), return ∂L/∂x. Central differences judge.


# %%
def smooth_max_backward(gradient, x, beta):
    raise NotImplementedError("exercise 09.1: write me")


teach.check("09.1", smooth_max_backward)

# %% [markdown]
# **9.2** Weighted distances, $D_{ij} = \sum_k s_k (x_{ik} - y_{jk})^2$, where the weights $s_k$ are learned, too. Return all three gradients.
# Plain NumPy; an array of shape (N, M, K) is fine here.


# %%
def weighted_distances_backward(gradient, x, y, s):
    raise NotImplementedError("exercise 09.2: write me")


teach.check("09.2", weighted_distances_backward)

# %% [markdown]
# **9.3** A whole operation: $y = \log \cosh x$, a smooth $|x|$ that is used as a loss. Value, gradient *and second
# derivative* are judged, also at ±1000, where $\cosh$ overflows. (What is $\log\cosh x$ for a large $x$? And its slope?)


# %%
class LogCosh(minidl.Op):
    def forward(self, x):
        raise NotImplementedError("exercise 09.3: write me")

    def backward(self, grad):
        raise NotImplementedError("exercise 09.3: write me")


teach.check("09.3", LogCosh)

# %% [markdown]
# ## What to remember
#
# - First compose; write an `Op` when the composition costs memory, time, or digits.
# - Derive with indices: *in which results does this input occur?* Sum over those. Then check the shapes.
# - `forward` in arrays, `backward` in minidl operations: that is how derivatives of every order come for free.
# - Save inputs, outputs, integers, masks. Never another float.
# - A case (how to draw, an independent oracle) puts the operation into the certificate; plant a mistake to see the check fail.
#
# **Read on.** `minidl/op.py` (all of the protocol, with its reasons), `minidl/ops/arithmetic.py` (`Mul`). For second-order mistakes: S. Ioffe, C. Szegedy,
# *Batch normalization* (2015), derive the gradient of its backward and see. N. Higham, *Accuracy and Stability of Numerical Algorithms* (2002),
# chapter 1, for cancellation.

# %%
chapter.report(
    proven=proven,
    worst_error=max(report.error for report in reports),
    certified=all(report.passed for report in reports),
    mistakes_noticed=sum(noticed) + smuggler_noticed,
    smuggled_second_derivative=smuggled,
    certificate_refuses=len(failures) > 0,
    error_by_differences=max(worst["by differences"]),
    error_by_products=max(worst["by products"]),
    largest_miss=float(misses.max()),
)
