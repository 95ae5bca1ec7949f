# %% [markdown]
# # 5. A multilayer perceptron
#
# A straight line cannot follow a spiral. Two layers of straight lines with a bend between them can, and the same two
# layers read handwriting. This chapter builds that network from bare tensors, one formula at a time.
#
# Afterwards you can
#
# - write sigmoid, softmax and cross-entropy so that they survive logits of ±1000, and say why the naive ones do not;
# - derive the most used gradient of all, *p - onehot*, and the backward pass of a whole network;
# - explain what a nonlinearity buys, with a picture;
# - find three bugs that nearly every course has seen: a lost bracket, a softmax too many, a percentage that lies.
#
# **Time**: smoke 2 s, default 3 s, full 40 s. **Data**: a spiral made here; scikit-learn's digits (bundled); full: MNIST.

# %%
import os
from itertools import pairwise

import numpy as np

import minidl
from minidl import optim, teach
from minidl.data import MNIST, Digits
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("05_mlp", "A multilayer perceptron")

# %% [markdown]
# ## The spiral
#
# Three arms, each a class, wound around each other: the toy that Stanford's course CS231n made famous. Arm $k$ is the
# curve $r\,(\sin\theta, \cos\theta)$ with $\theta = 2\pi k/3 + 4r$, plus noise in the angle.

# %%
rng = np.random.default_rng(0)
ARM = 100


def spiral(per_arm, rng):
    """Points (3 * per_arm, 2) and their arms, 0, 1 or 2."""
    labels = np.repeat(np.arange(3), per_arm)
    radius = np.tile(np.linspace(0.05, 1, per_arm), 3)
    angle = 2 * np.pi * labels / 3 + 4 * radius + rng.normal(0, 0.15, 3 * per_arm)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1).astype(np.float32), labels


points, arms = spiral(ARM, rng)
print("points", points.shape, "labels", arms.shape, "of", np.unique(arms))

# %% [markdown]
# ## From a score to a probability
#
# A linear model gives a score that can be any number, the **logit**. For two classes the **sigmoid** squeezes it into
# a probability:
#
# $$\sigma(x) = \frac{1}{1 + e^{-x}}, \qquad \sigma'(x) = \sigma(x)\,(1 - \sigma(x)).$$
#
# *Predict first*: the formula contains $e^{-x}$. What does NumPy make of $x = -1000$, where $e^{1000}$ is needed? And
# is the answer wrong?


# %%
def naive_sigmoid(x):
    return 1 / (1 + np.exp(-x))


def stable_sigmoid(x):
    small = np.exp(-np.abs(x))  # never larger than 1
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


x = np.array([-1000.0, -40.0, 0.0, 40.0, 1000.0])
with np.errstate(over="ignore"):  # NumPy would warn: overflow encountered in exp
    print("naive ", *(f"{y:8.2g}" for y in naive_sigmoid(x)))
print("stable", *(f"{y:8.2g}" for y in stable_sigmoid(x)))
print("minidl", *(f"{y:8.2g}" for y in minidl.sigmoid(minidl.tensor(x)).numpy()))

# %% [markdown]
# The naive one survives, by luck: $1/\infty = 0$ is the right answer, only the warning is ugly. Write the *same*
# function as $e^x / (1 + e^x)$ and at $x = 1000$ it is $\infty/\infty$, not a number. Equal on paper is not equal in
# floating point. The stable form takes, on each side, the version whose exponential is small.
#
# Sigmoid, its stretched sister $\tanh x = 2\sigma(2x) - 1$, and today's favourite $\mathrm{relu}(x) = \max(x, 0)$ will
# be the bends in our network. Look at the right half of the picture: it decides how well a gradient gets through.

# %%
grid = np.linspace(-5, 5, 201)
s, t = stable_sigmoid(grid), np.tanh(grid)
figure = chapter.figure(8.5, 3.4)
left, right = figure.subplots(1, 2)
curves = [
    ("sigmoid", s, s * (1 - s), BLUE, "-"),
    ("tanh", t, 1 - t**2, ORANGE, "--"),
    ("ReLU", np.maximum(grid, 0), (grid > 0) * 1.0, GREEN, "-."),
]
for name, value, slope, colour, style in curves:
    left.plot(grid, value, color=colour, linestyle=style, label=name)
    right.plot(grid, slope, color=colour, linestyle=style, label=name)
left.set(xlabel="x", ylabel="f(x)", ylim=(-1.2, 2.5), title="the function")
right.set(xlabel="x", ylabel="f '(x)", title="its slope")
left.legend()
chapter.save(
    figure,
    "activations",
    "Three bends. The slope of the sigmoid is never above 1/4, and away from zero both curved ones are flat: a "
    "gradient that passes through them shrinks. ReLU passes it whole, or not at all.",
)

# %% [markdown]
# ## Softmax: many scores
#
# For $K$ classes the network gives $K$ logits $z_1 \dots z_K$, and **softmax** makes probabilities of them:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}.$$
#
# Adding the same number to every logit changes nothing: it cancels, $e^{z_i + c} = e^c e^{z_i}$. So we may subtract
# the largest logit first. Then the largest exponential is $e^0 = 1$: nothing can overflow, and the sum is at least 1.
#
# *Predict*: what does the naive softmax give for the logits (1000, 0, -1000)?


# %%
def naive_softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


extreme = np.array([[1000.0, 0.0, -1000.0], [2.0, 1.0, 0.1]])
with np.errstate(over="ignore", invalid="ignore"):
    print("naive", naive_softmax(extreme), sep="\n")
print("stable", softmax(extreme).round(4), sep="\n")

# %% [markdown]
# ±1000 sounds far-fetched. But `float32`, in which networks are trained, ends at $3.4 \cdot 10^{38} \approx e^{88.7}$:
# one logit of 89 is enough.

# %%
with np.errstate(over="ignore"):
    print("e^88 and e^89 in float32:", np.exp(np.float32([88, 89])))

# %% [markdown]
# ## Cross-entropy: how surprised are you?
#
# The network gave probability $p_t$ to the true class $t$. The loss is the surprise, $L = -\ln p_t$: zero if it was
# certain and right, large if it was certain and wrong. Taking the logarithm of the softmax by hand,
#
# $$L = -\ln \frac{e^{z_t}}{\sum_j e^{z_j}} = \ln \sum_j e^{z_j} - z_t
#     = m + \ln \sum_j e^{z_j - m} - z_t, \qquad m = \max_j z_j,$$
#
# gives a formula in which no probability appears, so none can be rounded to zero. This is why a loss wants *logits*.
# (Exercise 05.2 asks for it, so here it is written once, for one row.)

# %%
z, label = np.array([1000.0, 0.0, -1000.0]), 2
with np.errstate(divide="ignore"):
    print("logarithm of the stable softmax:", -np.log(softmax(z[None])[0, label]))
m = z.max()
print("from the logits:                ", m + np.log(np.exp(z - m).sum()) - z[label])
print("minidl.cross_entropy:           ", minidl.cross_entropy(minidl.tensor(z[None]), minidl.tensor([label])).item())

# %% [markdown]
# Even the stable softmax, followed by a logarithm, says infinity where the answer is 2000: the probability $e^{-2000}$
# was rounded to 0 *before* the logarithm could save it. An infinite loss has no gradient to learn from.
#
# ## The gradient: p - onehot
#
# Differentiate $L = \ln \sum_j e^{z_j} - z_t$ with respect to one logit $z_i$. The first term gives
# $e^{z_i} / \sum_j e^{z_j} = p_i$, the second gives 1 if $i = t$ and 0 otherwise. That is all:
#
# $$\frac{\partial L}{\partial z_i} = p_i - [i = t], \qquad\text{for the mean over } n \text{ rows:}\quad
#   \frac{1}{n}\,\big(p - \mathrm{onehot}\big).$$
#
# Read it as a sentence: *push every class down by the probability you gave it, and the true one up by one.* The pushes
# add up to zero. And when the prediction is right, the push vanishes.

# %%
logits = rng.normal(0, 2, (5, 3))
labels = np.array([0, 2, 1, 1, 0])
n = len(labels)
by_hand = (softmax(logits) - np.eye(3)[labels]) / n


def mean_loss(z):
    return -np.log(softmax(z))[np.arange(n), labels].mean()


step = 1e-6
numeric = np.zeros_like(logits)
for i in np.ndindex(*logits.shape):  # chapter 2: central differences, one logit at a time
    up, down = logits.copy(), logits.copy()
    up[i] += step
    down[i] -= step
    numeric[i] = (mean_loss(up) - mean_loss(down)) / (2 * step)

z = minidl.tensor(logits, requires_grad=True)
minidl.cross_entropy(z, minidl.tensor(labels)).backward()
gradient_error = np.abs(by_hand - numeric).max()
print(f"by hand against central differences: {gradient_error:.1e}")
print(f"by hand against minidl:              {np.abs(by_hand - z.grad.numpy()).max():.1e}")
print("each row sums to", by_hand.sum(axis=1).round(15) + 0.0)

# %% [markdown]
# ### Find the bug: a bracket is lost
#
# This line was handed in with a homework. It runs, the shapes fit, and the loss even falls at first. What is wrong?

# %%
lost_bracket = softmax(logits) - np.eye(3)[labels] / n

# %% [markdown]
# *Reveal.* Only the one-hot part is divided by $n$. The bracket matters: the push down is $n$ times too strong, and
# the rows no longer add up to zero, which is the quickest check there is. Descend with both gradients on the digits,
# with the plain linear model of chapter 4, and see what the bracket is worth.

# %%
train, test = Digits(train=True), Digits(train=False)
x_train = train.data.reshape(-1, 64).astype(np.float32) / 255
x_test = test.data.reshape(-1, 64).astype(np.float32) / 255


def linear_digits(gradient_of, steps=100):
    """Gradient descent on the weights of one linear layer; the share of the test digits it gets right."""
    w = np.zeros((64, 10), np.float32)
    for _ in range(steps):
        w -= 1.0 * x_train.T @ gradient_of(x_train @ w, train.targets)
    return (np.argmax(x_test @ w, axis=1) == test.targets).mean()


print("row sums without the bracket:", lost_bracket.sum(axis=1).round(3))
bracket_accuracy = {
    "right bracket": linear_digits(lambda z, t: (softmax(z) - np.eye(10)[t]) / len(t)),
    "lost bracket": linear_digits(lambda z, t: softmax(z) - np.eye(10)[t] / len(t)),
}
for name, value in bracket_accuracy.items():
    print(f"{name:14s} test accuracy {value:.1%}")

# %% [markdown]
# ## Why a nonlinearity?
#
# Put two linear layers on top of each other, with nothing between:
#
# $$(x W_1 + b_1)\,W_2 + b_2 \;=\; x\,\underbrace{(W_1 W_2)}_{W} + \underbrace{(b_1 W_2 + b_2)}_{b}.$$
#
# A hundred layers or one: the same set of functions, and its boundaries are straight lines. Numbers agree:

# %%
w1, b1 = rng.normal(size=(2, 64)), rng.normal(size=64)
w2, b2 = rng.normal(size=(64, 3)), rng.normal(size=3)
two_layers = (points @ w1 + b1) @ w2 + b2
one_layer = points @ (w1 @ w2) + (b1 @ w2 + b2)
print(f"two linear layers minus one: {np.abs(two_layers - one_layer).max():.1e}")

# %% [markdown]
# With a bend between them the algebra breaks, and that is the whole point. A network of one hidden layer,
#
# $$h = \mathrm{relu}(x W_1 + b_1), \qquad z = h W_2 + b_2,$$
#
# is called a **multilayer perceptron** (MLP). Each hidden unit folds the plane along one line; the output layer adds
# the folds up. Enough folds approximate any continuous function on a bounded region (Cybenko 1989; Hornik 1991).
#
# Here it is, for any number of layers. The first weights are random, with variance 2 / inputs; chapter 6 says why.


# %%
def new_mlp(*sizes, seed=0):
    """[(W, b), ...] for an MLP with these layer widths."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in pairwise(sizes):
        w = rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs))
        layers.append(
            (
                minidl.tensor(w, dtype="float32", requires_grad=True),
                minidl.zeros(outputs, requires_grad=True),
            )
        )
    return layers


def mlp(layers, x, bend=minidl.relu):
    for w, b in layers[:-1]:
        x = bend(x @ w + b)  # h = bend(x W + b)
    w, b = layers[-1]
    return x @ w + b  # logits: no bend, no softmax


# %% [markdown]
# ### The backward pass, by hand
#
# Chapter 3's rules, read from the loss to the input. Each line is the derivative of one line of the forward pass:
#
# | forward | backward |
# |---|---|
# | $L = \text{cross-entropy}(z)$ | $dz = (p - \text{onehot}) / n$ |
# | $z = h W_2 + b_2$ | $dW_2 = h^T dz,\quad db_2 = \sum_\text{rows} dz,\quad dh = dz\,W_2^T$ |
# | $h = \mathrm{relu}(a)$ | $da = dh \cdot [a > 0]$ |
# | $a = x W_1 + b_1$ | $dW_1 = x^T da,\quad db_1 = \sum_\text{rows} da$ |

# %%
layers = new_mlp(2, 16, 3)
(w1, b1), (w2, b2) = [[p.detach().numpy().astype(float) for p in layer] for layer in layers]
x, n = points.astype(float), len(points)

a = x @ w1 + b1
h = np.maximum(a, 0)
z = h @ w2 + b2
dz = (softmax(z) - np.eye(3)[arms]) / n
dw2, db2, dh = h.T @ dz, dz.sum(axis=0), dz @ w2.T
da = dh * (a > 0)
dw1, db1 = x.T @ da, da.sum(axis=0)

doubles = [minidl.tensor(array, requires_grad=True) for array in (w1, b1, w2, b2)]
minidl.cross_entropy(mlp([doubles[:2], doubles[2:]], minidl.tensor(x)), minidl.tensor(arms)).backward()
differences = [
    np.abs(mine - theirs.grad.numpy()).max() for mine, theirs in zip((dw1, db1, dw2, db2), doubles, strict=True)
]
backward_error = max(differences)
print(f"largest difference between our backward pass and minidl's: {backward_error:.1e}")

# %% [markdown]
# ### Training it
#
# The loop of chapter 4: forward, loss, backward, step. Minibatches come from a fresh permutation every epoch.


# %%
def accuracy(layers, x, y, bend=minidl.relu):
    with minidl.no_grad():
        return float((mlp(layers, minidl.tensor(x), bend).numpy().argmax(axis=1) == y).mean())


def train_mlp(layers, x, y, epochs, batch, lr, bend=minidl.relu, loss=minidl.cross_entropy, words="training"):
    """Adam on minibatches; the mean loss of each epoch."""
    order = np.random.default_rng(1)
    optimizer = optim.Adam([p for layer in layers for p in layer], lr=lr)
    history = []
    for _ in chapter.progress(range(epochs), words):
        total = 0.0
        rows = order.permutation(len(x))
        for start in range(0, len(x), batch):
            chosen = rows[start : start + batch]
            optimizer.zero_grad()
            value = loss(mlp(layers, minidl.tensor(x[chosen]), bend), minidl.tensor(y[chosen]))
            value.backward()
            optimizer.step()
            total += value.item() * len(chosen)
        history.append(total / len(x))
    return history


# %% [markdown]
# Three networks on the spiral. *Predict* each one's accuracy before you run the cell: a linear layer (remember: three
# classes, so chance is 33 %), four hidden units, sixty-four.

# %%
epochs = chapter.pick(smoke=60, default=200, full=400)
networks = {
    "linear": new_mlp(2, 3),
    "4 hidden units": new_mlp(2, 4, 3, seed=1),
    "64 hidden units": new_mlp(2, 64, 3),
}
spiral_accuracy = {}
for name, layers in networks.items():
    train_mlp(layers, points, arms, epochs, batch=100, lr=0.03, words=name)
    spiral_accuracy[name] = accuracy(layers, points, arms)
    print(f"{name:16s} {spiral_accuracy[name]:.1%} of the spiral right")

# %%
side = np.linspace(-1.25, 1.25, chapter.pick(smoke=60, default=250, full=300))
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)
figure = chapter.figure(10, 4.4)
for axis, (name, layers) in zip(figure.subplots(1, 3, sharey=True), networks.items(), strict=True):
    with minidl.no_grad():
        region = mlp(layers, minidl.tensor(plane)).numpy().argmax(axis=1).reshape(len(side), -1)
    axis.contourf(side, side, region, levels=[-0.5, 0.5, 1.5, 2.5], colors=[BLUE, ORANGE, GREEN], alpha=0.3)
    for arm, (colour, marker) in enumerate(zip([BLUE, ORANGE, GREEN], "os^", strict=True)):
        mine = points[arms == arm]
        axis.scatter(mine[:, 0], mine[:, 1], s=9, color=colour, marker=marker, label=f"arm {arm}")
    axis.set(title=f"{name}: {spiral_accuracy[name]:.0%} right", xlabel="$x_1$", aspect="equal")
    if axis.get_subplotspec().is_first_col():
        axis.set_ylabel("$x_2$")
        axis.legend(loc="lower left", fontsize=8)
chapter.save(
    figure,
    "boundaries",
    "Decision regions (background) and the points they should fit. Without a bend, three straight wedges; four hidden "
    "units have four folds to spend; sixty-four follow the arms.",
)

# %% [markdown]
# ## Real handwriting
#
# Now 8 × 8 pictures of digits, flattened to 64 numbers; about 1,400 to learn from and 359 that the network never sees
# in training. In full mode it is MNIST, 28 × 28 pixels and 60,000 of them. Only the first number of the architecture
# changes.

# %%
if chapter.mode == "full" and os.environ.get("MINIDL_DATA"):
    train, test = MNIST(train=True), MNIST(train=False)
x_train, x_test = (part.data.reshape(len(part), -1).astype(np.float32) / 255 for part in (train, test))
pixels = x_train.shape[1]
epochs = chapter.pick(smoke=15, default=40, full=12)
batch = chapter.pick(smoke=32, default=32, full=128)

digits = new_mlp(pixels, 128, 10)
losses = train_mlp(digits, x_train, train.targets, epochs, batch=batch, lr=2e-3, words="digits")
digits_accuracy = accuracy(digits, x_test, test.targets)
print(f"{pixels} pixels, {sum(w.size + b.size for w, b in digits):,} parameters")
print(f"training loss {losses[0]:.3f} -> {losses[-1]:.4f}")
print(f"held-out digits: {digits_accuracy:.1%} of {len(test)} right")

# %% [markdown]
# A model deserves to have its mistakes looked at. Are these fair?

# %%
with minidl.no_grad():
    probabilities = minidl.softmax(mlp(digits, minidl.tensor(x_test)), 1).numpy()
wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.targets)
wrong = wrong[np.argsort(-probabilities[wrong].max(axis=1))][:8]
figure = chapter.figure(8.5, 2.2)
for axis, row in zip(figure.subplots(1, 8), wrong, strict=False):
    guess = probabilities[row].argmax()
    axis.imshow(test.data[row], cmap="gray_r")
    axis.set_title(f"is {test.targets[row]}\nsaid {guess} ({probabilities[row, guess]:.1%})", fontsize=8)
for axis in figure.axes:
    axis.set_axis_off()
chapter.save(
    figure,
    "mistakes",
    "Held-out digits that the network got wrong, the most confident mistake first; in brackets the probability "
    "that it gave to its wrong answer.",
)

# %% [markdown]
# ### Find the bug: one softmax too many
#
# "The loss wants probabilities, so I end the network with a softmax." The program runs and accuracy is not even bad.
# But watch the loss: it stops falling far above zero. *Predict*: with ten classes, how low can it go?


# %%
def softmax_then_loss(logits, labels):
    return minidl.cross_entropy(minidl.softmax(logits, 1), labels)  # cross_entropy has its own softmax


buggy = new_mlp(pixels, 128, 10)
buggy_losses = train_mlp(
    buggy, x_train, train.targets, epochs, batch=batch, lr=2e-3, loss=softmax_then_loss, words="with the bug"
)
buggy_accuracy = accuracy(buggy, x_test, test.targets)
floor = np.log(np.e + 9) - 1
print(f"one softmax : loss {losses[-1]:.4f}, held-out accuracy {digits_accuracy:.1%}")
print(f"two softmax : loss {buggy_losses[-1]:.4f}, held-out accuracy {buggy_accuracy:.1%}")
print(f"the floor ln(e + 9) - 1 = {floor:.4f}")

# %% [markdown]
# *Reveal.* The inner softmax can at best give the row (1, 0, ..., 0). The loss takes these for logits, and a logit
# that leads by only 1 is a modest lead: its probability is $e / (e + 9) = 0.23$. So the loss of a perfect network is
# $-\ln 0.23 = 1.46$. Worse, the gradient passes through a second softmax that is nearly flat where it is confident,
# also where it is confident and *wrong*. A loss stuck at 1.46 for ten classes has this cause until proven otherwise.

# %%
figure = chapter.figure(6, 3.6)
axis = figure.subplots()
axis.plot(range(1, epochs + 1), losses, color=BLUE, label="logits into the loss")
axis.plot(range(1, epochs + 1), buggy_losses, color=ORANGE, linestyle="--", label="softmax into the loss")
axis.axhline(floor, color="0.4", linewidth=1, linestyle=":")
axis.text(epochs, floor - 0.05, "ln(e + 9) - 1 = 1.46", ha="right", va="top", fontsize=9, color="0.3")
axis.set(xlabel="epoch", ylabel="training loss (nats per digit)", ylim=(0, None))
axis.legend()
chapter.save(
    figure,
    "softmax_twice",
    "Same network, same data, same seed. With a softmax before a loss that has its own, the loss cannot fall below "
    "1.46, however good the network is.",
)

# %% [markdown]
# ### Find the bug: the percentage that lies
#
# Three ways to print an accuracy. 29 answers of 100 are right. Which lines tell the truth?

# %%
share = 29 / 100
printed = ["%d %%" % share, "%d %%" % (100 * share), f"{share:.0%}"]  # noqa: UP031 - the bug that is shown
for line in printed:
    print(line)

# %% [markdown]
# *Reveal.* `%d` cuts off, it does not round. The first line cuts 0.29 down to 0. The second multiplies first, but
# `100 * 0.29` is 28.999999999999996, and cutting makes 28 of it. (Many a tutorial prints its accuracy so: 99.99
# becomes 99.) Only the last one rounds. And 359 digits cannot tell 97.2 % from 97.4 % anyway: one digit is 0.28 %.
#
# ## Exercises
#
# Complete the functions and run the cells; `python -m minidl exercises 05.1 --hint` gives a hint.


# %%
def my_sigmoid(x):
    """Sigmoid of an array, finite and silent (no overflow) for x = ±1000."""
    raise NotImplementedError


teach.check("05.1", my_sigmoid)


# %%
def my_cross_entropy(logits, labels):
    """Mean cross-entropy of logits (N, K) and labels (N,), right for logits of ±1000 too."""
    raise NotImplementedError


teach.check("05.2", my_cross_entropy)


# %%
def my_cross_entropy_gradient(logits, labels):
    """Gradient (N, K) of the mean cross-entropy with respect to the logits."""
    raise NotImplementedError


teach.check("05.3", my_cross_entropy_gradient)


# %%
def my_hidden_layer_backward(dh, x, w, b):
    """(dx, dw, db) of h = relu(x w + b) for an incoming gradient dh of the shape of h."""
    raise NotImplementedError


teach.check("05.4", my_hidden_layer_backward)

# %% [markdown]
# ## What to remember
#
# - Equal on paper is not equal in floating point: subtract the maximum, take logarithms on paper, feed *logits* to
#   losses.
# - The gradient of softmax with cross-entropy is $(p - \text{onehot})/n$. Its rows add up to zero.
# - Linear layers without a bend between them are one linear layer.
# - A loss that stalls at $\ln(e + K - 1) - 1$ has a softmax too many. A percentage belongs to `:.1%`, not to `%d`.
#
# **Sources.** Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323 (1986).
# Cybenko, "Approximation by superpositions of a sigmoidal function", Math. Control Signals Systems 2 (1989). Hornik,
# "Approximation capabilities of multilayer feedforward networks", Neural Networks 4 (1991). The spiral: Stanford
# CS231n, "Neural networks case study". The digits: Alpaydin and Kaynak (1998), UCI repository.

# %%
chapter.report(
    spiral=spiral_accuracy["64 hidden units"],
    spiral_linear=spiral_accuracy["linear"],
    digits=digits_accuracy,
    gradient_error=gradient_error,
    backward_error=backward_error,
    lost_bracket=bracket_accuracy["lost bracket"],
    loss_floor_gap=buggy_losses[-1] - floor,
)
