# %% [markdown]
# # 2. Is it right?
#
# A wrong gradient does not crash. It trains, more slowly, to a slightly worse result, and everybody blames the learning
# rate. So nobody should believe a gradient, least of all their own, before it was checked against something that knows
# no calculus: the function itself, evaluated twice.
#
# **Afterwards** you can choose a step size and say why, recognise a kink, tell a good measure of error from a bad one,
# check any gradient with `minidl.gradcheck`, first and second order, and you know what a check does *not* prove.
#
# **Time**: smoke 2 s, default 3 s, full 10 s. **Data**: scikit-learn's digits (bundled).

# %%
import numpy as np

import minidl
from minidl import Op, teach
from minidl.certificate import certify, format_table
from minidl.data import Digits
from minidl.gradcheck import compare_gradients
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("02_gradcheck", "Is it right?")
rng = np.random.default_rng(0)

# %% [markdown]
# ## The slope from two values
#
# The derivative is a limit, f'(x) = lim (f(x + h) - f(x)) / h. Stop before the limit, and you have an estimate:
#
#     forward   (f(x + h) - f(x)) / h               error ≈ h/2 · f''(x)
#     central   (f(x + h) - f(x - h)) / 2h          error ≈ h²/6 · f'''(x)
#
# The errors are what Taylor's series leaves over: f(x ± h) = f ± h f' + h²/2 f'' ± h³/6 f''' + ... In the central
# difference the h² terms cancel, because they are the same on both sides.
#
# *Predict:* if h becomes ten times smaller, how much smaller does each error become?


# %%
def f(x):
    return np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)


def f_prime(x):  # by hand: the product rule and the chain rule
    s, c = np.sin(x), np.cos(x)
    return f(x) * (1 - 1.5 * (s * s * c - c * c * s) / (s**3 + c**3))


def forward(f, x, h):
    return (f(x + h) - f(x)) / h


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


x, exact = 1.5, f_prime(1.5)
print("       h   error, forward   error, central")
for h in (1e-1, 1e-2, 1e-3, 1e-4):
    print(f"{h:8.0e} {abs(forward(f, x, h) - exact):16.1e} {abs(central(f, x, h) - exact):16.1e}")

# %% [markdown]
# Ten times and a hundred times. So take h = 10⁻¹⁵ and be done? *Predict before you run.*

# %%
for h in (1e-6, 1e-9, 1e-12, 1e-15):
    print(f"{h:8.0e} {abs(forward(f, x, h) - exact):16.1e} {abs(central(f, x, h) - exact):16.1e}")

# %% [markdown]
# ## The U-curve
#
# Two enemies, and they pull in opposite directions.
#
# - **Truncation**, what Taylor left over: grows with h (slope 1 forward, slope 2 central, in a plot of logarithms).
# - **Rounding**: f(x + h) and f(x) agree in most of their digits, and the subtraction leaves what is not digits but
#   dust. Each value is off by about ε·|f| (ε = 2⁻⁵² ≈ 2·10⁻¹⁶ in float64), and the division by h makes that ε·|f| / h:
#   slope -1.
#
# The best h is where they meet. Set both equal, forget the constants:
#
#     forward   h ≈ ε^(1/2) ≈ 10⁻⁸      leaves an error of about ε^(1/2) ≈ 10⁻⁸
#     central   h ≈ ε^(1/3) ≈ 6·10⁻⁶    leaves an error of about ε^(2/3) ≈ 4·10⁻¹¹
#
# minidl uses central differences with h = 10⁻⁵. In float32 (ε = 10⁻⁷) the best that central differences can do is 10⁻⁵
# of the value, hardly enough to tell a right gradient from a wrong one: **check in float64.**
#
# ### No subtraction, no dust
#
# There is a way without a subtraction. Take the step in the *imaginary* direction: f(x + ih) = f + ih f' - h²/2 f'' -
# ..., so
#
#     complex step   Im f(x + ih) / h        error ≈ h²/6 · f'''
#
# Nothing cancels, h may be 10⁻²⁰⁰, and the result is exact to the last digit. The price: f must be made of functions
# that NumPy knows for complex numbers, and that are analytic. `abs`, `max` and `relu` are not.


# %%
def complex_step(f, x, h):
    return f(x + 1j * h).imag / h


print(f"complex step with h = 1e-200: error {abs(complex_step(f, x, 1e-200) - exact):.0e}")


def f_abs(x):
    return np.abs(x) ** 3  # a perfectly smooth function


print("(|x|³)' at 1.5 is", 3 * 1.5**2, "; complex step through abs says", complex_step(f_abs, 1.5, 1e-20))

# %% [markdown]
# Zero, without a warning: the modulus of a complex number is real. A method is only as good as its assumptions.

# %%
steps = 10.0 ** -np.arange(0.5, 15.01, chapter.pick(smoke=0.25, default=0.1, full=0.05))
errors = {
    "forward": np.array([abs(forward(f, x, h) - exact) for h in steps]) / abs(exact),
    "central": np.array([abs(central(f, x, h) - exact) for h in steps]) / abs(exact),
    "complex step": np.array([abs(complex_step(f, x, h) - exact) for h in steps]) / abs(exact),
}
single = np.float32
errors["central, float32"] = np.array(
    [abs(central(f, single(x), single(h)) - exact) for h in steps if x + single(h) != single(x)]
)
errors["central, float32"] /= abs(exact)


def slope(name, smallest, largest):
    """Of the line through log error against log h, between two step sizes."""
    some = (steps > smallest) & (steps < largest)
    return np.polyfit(np.log10(steps[some]), np.log10(errors[name][some]), 1)[0]


slopes = {"forward": slope("forward", 1e-6, 1e-2), "central": slope("central", 1e-4, 1e-2)}
slopes["rounding"] = slope("central", 1e-13, 1e-7)
best = {name: steps[np.argmin(errors[name])] for name in ("forward", "central")}
print("slopes measured:", ", ".join(f"{name} {value:.2f}" for name, value in slopes.items()))
print("best step measured:", ", ".join(f"{name} {h:.0e}" for name, h in best.items()))

figure = chapter.figure(8, 4.6)
axes = figure.add_subplot(xscale="log", yscale="log", xlabel="step size h", ylabel="relative error of the slope")
styles = {
    "forward": (BLUE, "o"),
    "central": (ORANGE, "s"),
    "complex step": (GREEN, "^"),
    "central, float32": ("0.6", "s"),
}
for name, (color, marker) in styles.items():
    shown = np.maximum(errors[name], 1e-17)  # an error of 0 has no logarithm
    axes.plot(steps[: len(shown)], shown, marker, color=color, markersize=3.5, label=name)
h = np.array([1e-7, 1e-1])
axes.plot(h, 0.9 * h, color=BLUE, lw=0.8)
axes.plot(h[1:] * [0.003, 1], 2.5 * (h[1:] * [0.003, 1]) ** 2, color=ORANGE, lw=0.8)
h = np.array([1e-15, 1e-8])
axes.plot(h, 1e-16 / h, color="black", lw=0.8)
axes.text(1e-6, 2e-5, "truncation\nslope 1", color=BLUE, ha="center")
axes.text(4e-3, 1e-7, "truncation\nslope 2", color=ORANGE)
axes.text(3e-12, 2e-3, "rounding\nslope -1", ha="center")
axes.text(3e-12, 5e-15, "no cancellation", color=GREEN)
axes.set(ylim=(3e-18, 30), xlim=(3e-16, 1))
axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
chapter.save(
    figure,
    "u_curve",
    "Error of three estimates of f'(1.5). From the right, smaller steps help (truncation); from the left, they hurt "
    "(rounding). Central differences are best near 10⁻⁵; the complex step has no left arm (10⁻¹⁷ stands for 0); float32 never gets good.",
)

# %% [markdown]
# ## Kinks
#
# relu(x) = max(x, 0) has slope 0 on the left, 1 on the right, and at 0 none at all. *Predict:* what do forward,
# backward and central differences say at x = 0?


# %%
def relu(x):
    return np.maximum(x, 0.0)


h = 1e-5
print(
    "at 0: forward", forward(relu, 0.0, h), " backward", (relu(0.0) - relu(-h)) / h, " central", central(relu, 0.0, h)
)
z = minidl.tensor(0.0, dtype="float64", requires_grad=True)
minidl.relu(z).backward()
print("minidl (and PyTorch) define relu'(0) =", z.grad.item())

# %% [markdown]
# All of 0, ½ and 1 are *subgradients*; frameworks agree on 0 by convention. So a difference between analytic and
# numeric gradient at a kink is not a bug. And it is not enough to avoid x = 0 exactly: within h of it the differences
# are wrong.

# %%
around = np.linspace(-3, 3, 241)
figure = chapter.figure(9, 3.4)
left, right = figure.subplots(1, 2)
left.plot(around, relu(around), color="black", lw=2, label="relu")
left.plot([-1, 1], relu(np.array([-1, 1])), "s--", color=ORANGE, label="central: slope ½")
left.plot([0, 1], [0, 1], "o--", color=BLUE, label="forward: slope 1")
left.plot([-1, 0], [0, 0], "^--", color=GREEN, label="backward: slope 0")
left.set(xlabel="x, in steps h", ylabel="relu(x), in steps h", xlim=(-2, 2), ylim=(-0.5, 2))
left.legend(fontsize=8)
right.plot(around, around > 0, color="black", lw=2, label="true slope")
right.plot(around, [central(relu, t, 1.0) for t in around], "--", color=ORANGE, label="central")
right.plot(around, [forward(relu, t, 1.0) for t in around], "--", color=BLUE, label="forward")
right.set(xlabel="x, in steps h", ylabel="estimated slope")
right.legend(fontsize=8)
chapter.save(
    figure,
    "kink",
    "Left: three secants at the kink of relu, three slopes. Right: the estimates near the kink. Central differences "
    "are wrong on both sides of it within one step, forward differences on one side.",
)

# %% [markdown]
# How can a program know that it met a kink and not a bug? By comparing the two one-sided slopes: where a function is
# smooth they agree to about h, at a kink they do not. minidl's check does that, and says so:

# %%
try:
    minidl.gradcheck(minidl.relu, np.array([-1.0, 0.0, 2.0]))
except minidl.errors.GradcheckError as error:
    print(error)

# %% [markdown]
# ## Many numbers at once
#
# For a function of n numbers, move each by itself: n central differences. This is the whole of a gradient check, and
# you could stop reading here and be safer than most.


# %%
def numerical_gradient(f, x, h=1e-5):
    gradient = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        e = np.zeros_like(x)
        e[i] = h
        gradient[i] = (f(x + e) - f(x - e)) / (2 * h)
    return gradient


w, point = rng.normal(size=(3, 4)), rng.normal(size=4)
t = minidl.tensor(point, requires_grad=True)
minidl.tanh(minidl.tensor(w) @ t).sum().backward()
numeric = numerical_gradient(lambda x: np.tanh(w @ x).sum(), point)
print("analytic", t.grad.numpy())
print("numeric ", numeric)

# %% [markdown]
# ### Equal enough?
#
# They will never be *equal*. What difference is small? Look at three measures on four pairs (a, n):
#
#     absolute         |a - n|
#     relative         |a - n| / (|a| + |n|)
#     with a floor     |a - n| / (|a| + |n| + max|n| / 100)
#
# where max|n| is the largest element of the same gradient, here taken as 1.

# %%
print("                               analytic      numeric   absolute   relative   with a floor")
for verdict, analytic, number in (
    ("right, large", 1000.0001, 1000.0),
    ("right, by rounding only", 1e-13, 3e-12),
    ("WRONG, by a factor 2", 2e-4, 1e-4),
    ("WRONG, by a sign", -1e-3, 1e-3),
):
    gap = abs(analytic - number)
    floored = gap / (abs(analytic) + abs(number) + 1.0 / 100)
    print(
        f"{verdict:<25} {analytic:14.8g} {number:12.5g} {gap:10.0e} {gap / (abs(analytic) + abs(number)):10.0e}",
        end=" ",
    )
    print(f"{floored:14.0e}")

# %% [markdown]
# The absolute error fails the first (right) row together with the third (wrong) one: it measures the units of your
# data. The plain relative error gives the second row, pure dust around a true zero, a 0.9. With a floor that belongs to
# the *whole* gradient, right rows are below 10⁻⁶ and wrong rows above 10⁻³. That is the measure in minidl, with 10⁻⁵ as
# the limit.
#
# ## One direction instead of all
#
# A network with a million weights would need two million evaluations. Cheaper: choose **one random direction u** and
# compare a single number, the directional derivative,
#
#     u · ∇f(x)    against    (f(x + hu) - f(x - hu)) / 2h
#
# Two evaluations, however many weights. What does it see? We plant three errors in a gradient of n numbers, and print the
# typical difference (the root mean square over 30 directions), divided by the length of the gradient.

# %%
print("        n   correct    all × 1.001   sign of a tenth   one element × 1.01")
for n in (10, 1000, chapter.pick(smoke=10_000, default=100_000, full=1_000_000)):
    x, curve = rng.normal(size=n), rng.uniform(0.5, 2.0, n)

    def bowl(x, curve=curve):
        return 0.5 * np.sum(curve * x * x)

    gradient = curve * x
    tenth = gradient * np.where(np.arange(n) < n // 10, -1, 1)
    one = gradient.copy()
    one[0] *= 1.01
    seen = np.zeros(4)
    for _ in range(30):
        u = rng.normal(size=n)
        numeric = (bowl(x + 1e-5 * u) - bowl(x - 1e-5 * u)) / 2e-5
        seen += [(u @ g - numeric) ** 2 for g in (gradient, gradient * 1.001, tenth, one)]
    seen = np.sqrt(seen / 30) / np.linalg.norm(gradient)
    print(f"{n:>9} {seen[0]:9.0e} {seen[1]:14.0e} {seen[2]:17.0e} {seen[3]:20.0e}")

# %% [markdown]
# A systematic error is seen at any size. A single wrong element fades as the crowd grows (with 1/√n, and with luck: u
# may be small just there). Only the element-by-element check is sure to see it. So make the problem small instead: 3 ×
# 4 inputs find the same bugs as 300 × 400.
#
# *Random* matters. The direction u = (1, 1, ..., 1) looks natural, and can be blind: add 1 to all scores of a softmax
# and nothing changes. The same on the side of the outputs. To check a function of many outputs one makes a single
# number of them; their plain sum looks natural, too:

# %%
scores = rng.normal(size=6)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


print("gradient of Σ softmax(z):", np.round(numerical_gradient(lambda z: softmax(z).sum(), scores), 9))
weights = rng.normal(size=6)
print("gradient of Σ wᵢ softmax(z)ᵢ:", np.round(numerical_gradient(lambda z: weights @ softmax(z), scores), 3))

# %% [markdown]
# The outputs of a softmax always sum to 1, so the gradient of their plain sum is zero, and a backward that returns
# zeros would pass. Weigh the outputs with random numbers. minidl's certificate goes further: it *refuses* a case whose
# true gradient is about zero, because such a case proves nothing.
#
# ## The same with minidl
#
# `minidl.gradcheck` is what we built: random weights on the outputs, central differences for each element, the error
# with a floor, and a message that names the element. A correct function passes quietly. Ours gets a planted error:
# the derivative of x² is 2x, not 2.001x.


# %%
class Square(Op):
    """y = x², with a gradient that is wrong by half a thousandth."""

    def forward(self, x):
        self.save(x)
        return x * x

    def backward(self, grad):
        (x,) = self.saved
        return grad * 2.001 * x


print("x·x:", minidl.gradcheck(lambda x: x * x, rng.normal(size=3)))
try:
    minidl.gradcheck(lambda x: Square()(x), rng.normal(size=3))
except minidl.errors.GradcheckError as error:
    print("Square:", error)

# %% [markdown]
# ### Second order
#
# A gradient is a function too, and it has a gradient: penalties on gradients and Newton's method need it. Other
# libraries call the check of it *gradgradcheck*; here it is `order=2`. Does it find anything that order 1 does not?
# Look at this tanh, which keeps its result for later as one would:


# %%
class CachedTanh(Op):
    """y = tanh x. The backward uses y as kept by forward."""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, grad):
        return grad * (1 - self.y**2)


def cached_tanh(x):
    return CachedTanh()(x)


print("order 1:", minidl.gradcheck(cached_tanh, rng.normal(size=3)))
try:
    minidl.gradcheck(cached_tanh, rng.normal(size=3), order=2)
except minidl.errors.GradcheckError as error:
    print("order 2:", error)
print("minidl.tanh, order 2:", minidl.gradcheck(minidl.tanh, rng.normal(size=3), order=2))

# %% [markdown]
# First order right, second order zero where it should not be: `self.y` is a plain array, and nobody can see that it
# depends on x. (`self.save(y)` is the cure; chapter 9 builds an operation properly.) Real libraries have shipped this
# bug.
#
# ## The certificate
#
# One check per operation, one table for the library: `python -m minidl gradcheck`. Every operation brings cases, every
# case an independent oracle, and an operation without a case is a failure.

# %%
some = chapter.pick(
    smoke=["exp", "softmax"],
    default="add mul div exp tanh relu sigmoid sum mean matmul softmax cross_entropy conv2d max_pool2d layer_norm".split(),
    full=[],  # empty: all of them
)
reports = certify(some, progress=lambda cases: chapter.progress(cases, "certificate"))
table = format_table(reports).splitlines()
print("\n".join(table if len(table) < 25 else [*table[:12], "...", *table[-2:]]))
proven = [report for report in reports if report.passed and report.order]
worst = max(report.error for report in proven)

# %% [markdown]
# ## Find the bug: the bracket that got lost
#
# A course asks for a softmax classifier in plain NumPy. The loss is the mean cross-entropy over n examples, and its
# gradient with respect to the scores z is famous for being short, with p = softmax(z) and y the labels as rows of one 1
# and zeros:
#
#     L = -1/n Σᵢ ln p[i, label i]            ∂L/∂z = (p - y) / n
#
# Here are two programs, A and B. They differ in one line.


# %%
def gradient_a(p, y):
    return (p - y) / len(y)


def gradient_b(p, y):
    return p - y / len(y)


def train(gradient, rate, epochs, batch=32):
    order_of = np.random.default_rng(1)
    w, b = np.zeros((64, 10)), np.zeros(10)
    for _ in range(epochs):
        order = order_of.permutation(len(x_train))
        for i in range(0, len(order) - batch + 1, batch):
            rows = order[i : i + batch]
            p = softmax(x_train[rows] @ w + b)
            dz = gradient(p, np.eye(10)[y_train[rows]])
            w -= rate * x_train[rows].T @ dz
            b -= rate * dz.sum(axis=0)
    p = softmax(x_test @ w + b)
    return (p.argmax(axis=1) == y_test).mean(), -np.log(p[np.arange(len(p)), y_test]).mean()


digits, unseen = Digits(train=True), Digits(train=False)
x_train, y_train = digits.data.reshape(-1, 64) / 255.0, digits.targets
x_test, y_test = unseen.data.reshape(-1, 64) / 255.0, unseen.targets
epochs = chapter.pick(smoke=4, default=10, full=30)
results = {}
for name, gradient in (("A", gradient_a), ("B", gradient_b)):
    accuracy, loss = results[name] = train(gradient, rate=0.01, epochs=epochs)
    print(f"program {name}: accuracy on test data {accuracy:.1%}, cross-entropy {loss:.3f}")

# %% [markdown]
# B reaches the higher accuracy. Which one would you hand in? And is there something in the two lines that worries you?
#
# **Reveal.** B lost a bracket: p - y/n. Ask the function itself.

# %%
z, labels = rng.normal(size=(8, 10)), rng.integers(0, 10, 8)
numeric = numerical_gradient(lambda z: -np.log(softmax(z)[np.arange(8), labels]).mean(), z)
found = {}
for name, gradient in (("A", gradient_a), ("B", gradient_b)):
    analytic = gradient(softmax(z), np.eye(10)[labels])
    scale = np.abs(analytic) + np.abs(numeric) + np.abs(numeric).max() / 100
    found[name] = (np.abs(analytic - numeric) / scale).max()
    print(f"program {name}: largest relative error {found[name]:.1e}, sum of each row {analytic.sum(axis=1)[0]:+.3f}")

# %% [markdown]
# One look at a table of eight rows settles what no accuracy could. There was another sign: **the loss**. B's
# cross-entropy is hardly better than ln 10 = 2.303, that of guessing. Can we say why? Add the same number to all scores
# and nothing changes, so only the part of the gradient that sums to zero matters; in B that part is that of *smoothed*
# labels, y/n + (1 - 1/n)/10. So B teaches the network to give the right digit the probability

# %%
smoothed = 1 / 32 + (1 - 1 / 32) / 10
print(f"1/32 + (1 - 1/32)/10 = {smoothed:.3f}, a cross-entropy of {-np.log(smoothed):.3f}; B has {results['B'][1]:.3f}")

# %% [markdown]
# and no more. The largest score is still the right one, hence the accuracy. And B's lead? Its steps are some 30 times
# larger; A only needed another learning rate.

# %%
results["A, rate × 30"] = train(gradient_a, rate=0.3, epochs=epochs)
print("A with 30 times the rate: accuracy {:.1%}, cross-entropy {:.3f}".format(*results["A, rate × 30"]))

# %% [markdown]
# ## What was proven, and what was planted


# %%
def error_of(function, order):
    """The largest relative error that the check finds."""
    return max(c.error for c in compare_gradients(function, [np.array([0.3, -1.2, 0.8])], order, 1e-5, rng))


planted = {
    "x² with 2.001": error_of(lambda x: Square()(x), 1),
    "cached tanh, order 2": error_of(cached_tanh, 2),
    "the lost bracket": found["B"],
}
shown = sorted(proven, key=lambda report: -report.error)
shown = shown[:: max(1, len(shown) // 15)][::-1]  # the worst at the top
figure = chapter.figure(8, 4.8)
axes = figure.add_subplot(xscale="log", xlabel="largest relative error of a gradient, orders 1 and 2")
for i, report in enumerate(shown):
    axes.plot([1e-14, max(report.error, 1e-14)], [i, i], color="0.85", lw=1, zorder=1)
    axes.plot(max(report.error, 1e-14), i, "o", color=BLUE)
for i, error in enumerate(planted.values(), start=len(shown)):
    axes.plot([1e-14, error], [i, i], color="0.85", lw=1, zorder=1)
    axes.plot(error, i, "X", color=ORANGE, markersize=9)
axes.axvline(1e-5, color="black", lw=1, ls="--")
axes.text(1.4e-5, 0, "limit", va="center")
axes.set_yticks(range(len(shown) + len(planted)), [report.name for report in shown] + list(planted))
axes.set(xlim=(1e-12, 5))
chapter.save(
    figure,
    "certificate",
    "Circles: operations of minidl, each the worst of all its cases. Crosses: the errors planted in this chapter. Between "
    "right and wrong lie several orders of magnitude, so the limit of 10⁻⁵ is not a matter of taste.",
)

# %% [markdown]
# ## Your turn
#
# **02.1 The whole Jacobian.** For a function from n numbers to m numbers, return the (m, n) array of ∂f_j/∂x_i by
# central differences with step h.


# %%
def jacobian(f, x, h):
    raise NotImplementedError


teach.check("02.1", jacobian)

# %% [markdown]
# **02.2 Equal enough.** Return the largest element of |a - n| / (|a| + |n| + max|n| / 100) for two arrays. Two arrays
# of zeros are equal: return 0.0 for them.


# %%
def largest_error(analytic, numeric):
    raise NotImplementedError


teach.check("02.2", largest_error)

# %% [markdown]
# **02.3 A gradient without dust.** The gradient of f at x (n numbers to one) by complex steps. Choose h yourself.


# %%
def complex_gradient(f, x):
    raise NotImplementedError


teach.check("02.3", complex_gradient)

# %% [markdown]
# **02.4 With its bracket.** For L(z) = mean cross-entropy of softmax(z) with the labels (integers), return the gradient
# with respect to z, times the incoming gradient ∂(final)/∂L, a number. Central differences will judge.


# %%
def cross_entropy_gradient(gradient, z, labels):
    raise NotImplementedError


teach.check("02.4", cross_entropy_gradient)

# %% [markdown]
# ## What to remember
#
# - Central differences, float64, h ≈ 10⁻⁵: errors of about 10⁻⁷ at most for a right gradient. A wrong one is off by
#   10⁻³ and more; even 2.001 in place of 2 shows as 2·10⁻⁴.
# - Too large a step truncates, too small a step rounds. The complex step does not round, but needs analytic functions.
# - Near a kink every answer between the two slopes is possible: draw another point.
# - Divide by the size of the numbers, with a floor taken from the whole gradient.
# - Random weights on the outputs; small shapes; every operation by itself; second order as well.
# - A model that trains does not prove its gradient. Accuracy least of all.
#
# **Sources.** W. Squire, G. Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review 40
# (1998), also for the function f; J. Martins, P. Sturdza, J. Alonso, *The complex-step derivative approximation*, ACM
# TOMS 29 (2003); W. Press et al., *Numerical recipes*, section 5.7 (step sizes); the CS231n notes of A. Karpathy on
# gradient checks (relative errors, kinks).

# %%
chapter.report(
    slope_forward=slopes["forward"],
    slope_central=slopes["central"],
    slope_rounding=slopes["rounding"],
    certificate=worst,
    operations=len(proven),
    bracket_a=found["A"],
    bracket_b=found["B"],
    accuracy_b=results["B"][0],
    loss_b=results["B"][1],
    loss_a_faster=results["A, rate × 30"][1],
)
