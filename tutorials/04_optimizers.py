# %% [markdown]
# # 4. Linear regression and optimizers
#
# Linear regression is the one model whose answer is known exactly. That makes it the best place to study the art of
# going downhill: how far a step may go, why valleys are slow, what momentum and Adam do about it, and what happens if
# only a few examples are looked at for each step. All of it carries over to networks, where nobody knows the answer.
#
# **Afterwards** you can derive the largest stable learning rate, write SGD, momentum, RMSprop, Adam and AdamW from
# memory in three to five lines each, choose a loss for outliers and one for yes or no, and read a learning-rate
# schedule.
#
# **Time**: smoke 2 s, default 7 s, full 12 s. **Data**: scikit-learn's diabetes data (bundled); a stand-in in smoke mode.

# %%
import numpy as np

import minidl
from minidl import nn, optim, teach
from minidl.io.figure import BLUE, GREEN, ORANGE, PURPLE, YELLOW

chapter = teach.Chapter("04_optimizers", "Linear regression and optimizers")
rng = np.random.default_rng(0)

# %% [markdown]
# ## The data, and the answer
#
# 442 people, ten measurements of each (age, blood pressure, blood sugar, ...), and how far their diabetes had
# progressed a year later. We predict the last from the first ten. Everything is brought to mean 0 and standard
# deviation 1, so a weight says by how many standard deviations the prediction changes.

# %%
if chapter.mode == "smoke":  # importing scikit-learn takes longer than the rest of the run
    x = rng.normal(size=(442, 10)) @ (np.eye(10) + 0.2 * rng.normal(size=(10, 10)))
    y = x @ rng.normal(size=10) + 4 * rng.normal(size=442)
else:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
x = (x - x.mean(axis=0)) / x.std(axis=0)
y = (y - y.mean()) / y.std()
n = len(x)
print(f"{n} examples, {x.shape[1]} features")

# %% [markdown]
# The model is ŷ = X w (no bias: all means are 0). The loss is the **mean squared error**:
#
#     L(w) = 1/n ‖X w - y‖²            ∇L(w) = 2/n Xᵀ(X w - y)            Hessian  H = 2/n XᵀX
#
# L is a bowl. At its bottom the gradient vanishes, XᵀX w = Xᵀy: the **normal equations**. One line.

# %%
solution = np.linalg.solve(x.T @ x, x.T @ y)
lowest = np.mean((x @ solution - y) ** 2)
print("least squares:", np.round(solution, 3))
print(f"mean squared error {lowest:.4f}; of the variance, {1 - lowest:.1%} are explained")

# %% [markdown]
# ## The same by going downhill
#
# Gradient descent, `w ← w - η ∇L(w)`, in minidl's words. This loop is the heart of every training run that you will
# ever see: forget the old gradients, forward, backward, step.


# %%
def loss_of(w):
    return minidl.mse_loss(minidl.tensor(x) @ w, minidl.tensor(y))


def descend(optimizer_of, steps, start=None):
    """Distances from the solution, before each step and after the last."""
    w = nn.Parameter(np.zeros(x.shape[1]) if start is None else start.copy())
    optimizer = optimizer_of([w])
    distances = [np.linalg.norm(w.data - solution)]
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(w).backward()
        optimizer.step()
        distances.append(np.linalg.norm(w.data - solution))
    return w.data, np.array(distances)


curvature = np.linalg.eigvalsh(2 / n * x.T @ x)  # eigenvalues of the Hessian, smallest first
best_rate = 2 / (curvature[0] + curvature[-1])  # why this one: see below
steps = chapter.pick(smoke=500, default=6000, full=6000)
w, distances = descend(lambda params: optim.SGD(params, lr=best_rate), steps)
least_squares_gap = np.abs(w - solution).max()
print(f"after {steps} steps the weights differ from least squares by at most {least_squares_gap:.0e}")

# %% [markdown]
# ## How large may a step be?
#
# *Predict:* we double the learning rate, again and again. Does the descent get faster and faster?

# %%
limit = 2 / curvature[-1]
print("     η / limit   distance after 50 steps (it began with", round(float(distances[0]), 3), ")")
for fraction in (0.125, 0.25, 0.5, 0.99, 1.01, 2.0):
    _, found = descend(lambda params, rate=fraction * limit: optim.SGD(params, lr=rate), 50)
    print(f"{fraction:14} {found[-1]:14.3g}")

# %% [markdown]
# There is a cliff, and it can be computed. Along an eigenvector of H with eigenvalue (curvature) λ, the gradient is λ
# times the distance from the bottom, so one step multiplies that distance by
#
#     1 - η λ
#
# If η λ < 1 we come closer from the same side, if 1 < η λ < 2 we jump across and land closer, and if **η λ > 2** we
# land farther away each time. Every direction must survive, the steepest above all: **η < 2 / λ_max**.
#
# The flattest direction is the slowest: its factor is 1 - η λ_min. The best compromise makes the two extremes equally
# slow, η = 2 / (λ_min + λ_max), and then each step multiplies the distance by
#
#     (κ - 1) / (κ + 1)        with the condition number  κ = λ_max / λ_min


# %%
def steps_until(distances, factor):
    return int(np.argmax(distances < factor * distances[0]))


kappa = curvature[-1] / curvature[0]
print(f"curvatures from {curvature[0]:.4f} to {curvature[-1]:.2f}: κ = {kappa:.0f}, limit 2/λ_max = {limit:.4f}")
predicted = (kappa - 1) / (kappa + 1)
early, late = steps_until(distances, 1e-6), steps_until(distances, 1e-10)
measured = (distances[late] / distances[early]) ** (1 / (late - early))
print(f"factor per step: predicted {predicted:.6f}, measured {measured:.6f}")
print(f"so a factor of a million takes {np.log(1e-6) / np.log(predicted):.0f} steps")

# %% [markdown]
# ### Momentum
#
# A heavy ball keeps rolling: v ← μ v + g, w ← w - η v. Where gradients alternate they cancel in v; where they agree
# they add up, to 1/(1 - μ) times one of them. With the best η and μ the condition number is replaced by **its square
# root** (Polyak 1964):
#
#     η = 4 / (√λ_max + √λ_min)²        μ = ((√κ - 1) / (√κ + 1))²        factor per step ≈ √μ

# %%
root = np.sqrt(curvature[-1]) + np.sqrt(curvature[0])
heavy = {"lr": 4 / root**2, "momentum": ((np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)) ** 2}
_, rolling = descend(lambda params: optim.SGD(params, **heavy), chapter.pick(smoke=100, default=1000, full=1000))

plain_steps, heavy_steps = steps_until(distances, 1e-4), steps_until(rolling, 1e-4)
print(f"steps to come 10,000 times closer: {plain_steps} without, {heavy_steps} with momentum")

# %%
figure = chapter.figure(10, 3.8)
left, right = figure.subplots(1, 2)
shown = chapter.pick(smoke=100, default=400, full=400)
for fraction, color in ((0.1, PURPLE), (0.5, GREEN), (0.99, BLUE), (1.01, ORANGE)):
    _, found = descend(lambda params, rate=fraction * limit: optim.SGD(params, lr=rate), shown)
    left.semilogy(found / found[0], color=color, label=rf"$\eta = {fraction} \cdot 2/\lambda_{{max}}$")
left.semilogy(rolling[: shown + 1] / rolling[0], color="black", ls="--", label="momentum, best η and μ")
left.set(xlabel="step", ylabel="distance from the solution (start = 1)", ylim=(1e-6, 1e3), xlim=(0, shown))
left.legend(fontsize=8, loc="lower right")
rates = np.linspace(0, 1.25 * limit, 300)
factors = np.abs(1 - rates[:, None] * curvature)
right.plot(rates / limit, factors, color="0.75", lw=1)
right.plot(rates / limit, factors.max(axis=1), color=ORANGE, lw=2)
right.axhline(1, color="black", lw=0.8)
right.plot(best_rate / limit, predicted, "o", color=BLUE)
right.annotate("best", (best_rate / limit, predicted), (0.8, 1.18), arrowprops={"arrowstyle": "->"})
right.set(
    xlabel=r"learning rate η, in units of $2/\lambda_{max}$",
    ylabel="factor per step |1 - ηλ|",
    ylim=(0, 1.5),
    xlim=(0, 1.25),
)
chapter.save(
    figure,
    "learning_rate",
    "Left: distance from the solution at several learning rates; 1 % beyond the limit it grows. Right: a grey line for each "
    "curvature λ, the factor by which one step multiplies the distance along it; the worst one (orange) rules.",
)

# %% [markdown]
# ## Other losses for other questions
#
# The gradient of a loss says how hard each example pulls. With r = ŷ - y for the residual of one example:
#
# | loss | formula | pull ∂/∂ŷ |
# |---|---|---|
# | squared error | r² | 2r: without limit |
# | absolute error | \|r\| | ±1: all equal, and no rest near 0 |
# | Huber | r²/2 where \|r\| < δ, δ(\|r\| - δ/2) beyond | r, **clipped** to ±δ |
#
# *Predict:* thirty points on a line, and four that are utterly wrong. Which of the lines below will be fooled?

# %%
line_x = np.linspace(-1, 1, 34)
line_y = 0.5 + 1.5 * line_x + 0.15 * rng.normal(size=34)
line_y[[2, 3, 5, 8]] += [5.0, 6.0, 4.5, 5.5]  # four typing errors


def huber(r, delta):
    return np.where(np.abs(r) < delta, r * r / 2, delta * (np.abs(r) - delta / 2))


def fit_line(loss):
    w = nn.Parameter(np.zeros(2))
    features, target = minidl.tensor(np.stack([line_x, np.ones(34)], axis=1)), minidl.tensor(line_y)
    optimizer = optim.SGD([w], lr=0.2, momentum=0.9)
    for _ in range(150):
        optimizer.zero_grad()
        loss(features @ w, target).backward()
        optimizer.step()
    return w.data


lines = {
    "squared": fit_line(minidl.mse_loss),
    "Huber, δ = 0.3": fit_line(lambda prediction, target: minidl.huber_loss(prediction, target, delta=0.3)),
}
for name, (slope, height) in lines.items():
    print(f"{name:<15} slope {slope:+.2f}, height {height:.2f}     (true: +1.50, 0.50)")
r = rng.normal(size=50)
huber_gap = abs(huber(r, 0.7).mean() - minidl.huber_loss(r, np.zeros(50), delta=0.7).item())
print(f"our formula against minidl.huber_loss: {huber_gap:.0e}")

# %% [markdown]
# ### Yes or no
#
# If y is 0 or 1, let the model give a *score* z, and p = σ(z) = 1 / (1 + e⁻ᶻ) the probability of a yes. Which loss? One
# could take (p - y)². Or the **binary cross-entropy**, the surprise at what happened:
#
#     BCE = -ln p if y = 1,  -ln(1 - p) if y = 0            ∂BCE/∂z = p - y
#
# Compare the pulls for an example with y = 1 whose score is badly wrong, z = -10. *Predict:* which loss corrects it
# sooner?

# %%
scores = minidl.tensor([-10.0, -2.0, 0.0, 2.0], dtype="float64", requires_grad=True)
yes = minidl.ones(4, dtype="float64")
(by_bce,) = minidl.grad(minidl.binary_cross_entropy_with_logits(scores, yes, reduction="sum"), scores)
(by_square,) = minidl.grad(((minidl.sigmoid(scores) - yes) ** 2).sum(), scores)
print("score       ", scores.tolist())
print("pull of BCE ", np.round(by_bce.numpy(), 6).tolist())
print("of (p - y)² ", np.round(by_square.numpy(), 6).tolist())

# %% [markdown]
# The squared error multiplies by σ' = p(1 - p), which is next to nothing where the model is *sure and wrong*: the worst
# mistakes are corrected last. Cross-entropy cancels that factor.
#
# And compute it from the score, not from the probability: at z = -1000, p is 0 in every floating-point number there is,
# and its logarithm is -∞. With ln σ(z) = -ln(1 + e⁻ᶻ), taken the right way round, nothing overflows:

# %%
z = minidl.tensor([-1000.0])
with np.errstate(divide="ignore", over="ignore"):
    print("by the probability:", -np.log(1 / (1 + np.exp(1000.0))), "  by the score:", end=" ")
print(minidl.binary_cross_entropy_with_logits(z, minidl.ones(1)).item())

# %%
figure = chapter.figure(12, 3.6)
losses_axes, fit_axes, pull_axes = figure.subplots(1, 3)
r = np.linspace(-3, 3, 301)
losses_axes.plot(r, r**2, color=ORANGE, label="squared: r²")
losses_axes.plot(r, np.abs(r), color=GREEN, label="absolute: |r|")
losses_axes.plot(r, huber(r, 1.0), color=BLUE, label="Huber, δ = 1")
losses_axes.set(xlabel="residual r", ylabel="loss", ylim=(0, 5))
losses_axes.legend()
fit_axes.plot(line_x, line_y, ".", color="0.5")
for (name, (slope, height)), color in zip(lines.items(), (ORANGE, BLUE), strict=True):
    fit_axes.plot(line_x, slope * line_x + height, color=color, label=name)
fit_axes.set(xlabel="x", ylabel="y")
fit_axes.legend()
z = np.linspace(-8, 8, 301)
p = 1 / (1 + np.exp(-z))
pull_axes.plot(z, p - 1, color=BLUE, label="cross-entropy: p - y")
pull_axes.plot(z, 2 * (p - 1) * p * (1 - p), color=ORANGE, label="(p - y)²: 2(p - y)·p(1 - p)")
pull_axes.set(xlabel="score z, where the answer is yes", ylabel="pull ∂loss/∂z")
pull_axes.legend(loc="lower right", fontsize=9)
chapter.save(
    figure,
    "losses",
    "Left: three losses of a residual. Middle: four outliers turn the line of squared errors, not that of Huber's loss. "
    "Right: a confident mistake (z far to the left) pulls with full force in cross-entropy, and hardly at all in squared error.",
)

# %% [markdown]
# ## Five optimizers, from their formulas
#
# Each gets the weights w, the gradient g, and a dictionary s for what it must remember; it changes w in place. Read
# each beside its formula.


# %%
def sgd(w, g, s, lr):
    w -= lr * g  #                                           w ← w - η g


def momentum(w, g, s, lr, mu=0.9):
    s["v"] = mu * s.get("v", 0) + g  #                       v ← μ v + g
    w -= lr * s["v"]  #                                      w ← w - η v


def rmsprop(w, g, s, lr, alpha=0.99, eps=1e-8):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2  #   v ← α v + (1 - α) g²
    w -= lr * g / (np.sqrt(s["v"]) + eps)  #                 w ← w - η g / (√v + ε)


def adam(w, g, s, lr, b1=0.9, b2=0.999, eps=1e-8):
    t = s["t"] = s.get("t", 0) + 1
    m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g  #        m ← β₁ m + (1 - β₁) g
    v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2  #     v ← β₂ v + (1 - β₂) g²
    m, v = m / (1 - b1**t), v / (1 - b2**t)  #               m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)
    w -= lr * m / (np.sqrt(v) + eps)  #                      w ← w - η m̂ / (√v̂ + ε)


def adamw(w, g, s, lr, decay=0.01):
    w -= lr * decay * w  #                                   w ← w - η λ w
    adam(w, g, s, lr)  #                                     and then Adam, which knows nothing of it


# %% [markdown]
# - **RMSprop** divides each weight's gradient by its own usual size. Steep and flat directions then take equal steps.
# - **Adam** does that to a running mean of the gradient. The means start at zero and are too small at first; the hats
#   correct that. *Predict* Adam's very first step for a gradient of 1000 and for one of 0.001, with η = 0.1.
# - **AdamW** shrinks the weights *beside* the step. Why not add λ w to the gradient, as for SGD? Wait for the reveal
#   below.

# %%
for g in (1000.0, 0.001):
    w = np.array([0.0])
    adam(w, np.array([g]), {}, lr=0.1)
    print(f"gradient {g:g}: the first step of Adam is {w[0]:.6f}")
print(f"without the hats it would be {-0.1 * 0.1 / np.sqrt(0.001):.3f}: (1 - β₁) g / √((1 - β₂) g²) = 3.16")

# %% [markdown]
# Are they right? minidl's own optimizers are the examiners: the same start, the same loss, and all weights compared
# after each step.

# %%
pairs = {
    "SGD": (sgd, {"lr": 0.05}, optim.SGD, {"lr": 0.05}),
    "momentum": (momentum, {"lr": 0.02, "mu": 0.9}, optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    "RMSprop": (rmsprop, {"lr": 0.01}, optim.RMSprop, {"lr": 0.01}),
    "Adam": (adam, {"lr": 0.05}, optim.Adam, {"lr": 0.05}),
    "AdamW": (adamw, {"lr": 0.05, "decay": 0.1}, optim.AdamW, {"lr": 0.05, "weight_decay": 0.1}),
}
optimizer_gap = 0.0
for name, (step, options, library, library_options) in pairs.items():
    ours, memory, theirs = np.zeros(x.shape[1]), {}, nn.Parameter(np.zeros(x.shape[1]))
    optimizer = library([theirs], **library_options)
    gap = 0.0
    for _ in range(chapter.pick(smoke=40, default=100, full=100)):
        step(ours, 2 / n * x.T @ (x @ ours - y), memory, **options)
        optimizer.zero_grad()
        loss_of(theirs).backward()
        optimizer.step()
        gap = max(gap, np.abs(ours - theirs.data).max())
    optimizer_gap = max(optimizer_gap, gap)
    print(f"{name:<9} largest difference from minidl.optim.{library.__name__}: {gap:.0e}")

# %% [markdown]
# ## Paths
#
# Three landscapes. A ravine along the axes; *the same ravine turned* by 30°; and Rosenbrock's banana, whose valley
# bends. The gradient always points across the contour lines, not along the valley, and you will see plain SGD suffer
# from it.
#
# *Predict:* which optimizers notice that the second ravine is turned?


# %%
def ravine(turn):
    c, s = np.cos(turn), np.sin(turn)

    def height(x, y):
        along, across = c * x + s * y, c * y - s * x
        return 0.5 * along**2 + 12.5 * across**2

    return height


def banana(x, y):
    return (1 - x) ** 2 + 10 * (y - x * x) ** 2


def walk(height, start, optimizer_of, steps):
    w = nn.Parameter(np.array(start))
    optimizer = optimizer_of([w])
    path = [w.data.copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        height(w[0], w[1]).backward()
        optimizer.step()
        path.append(w.data.copy())
    return np.array(path)


landscapes = {  # height, start, steps, and for each walker the best of a few learning rates
    "a ravine": (ravine(0.0), (-4.0, 1.2), 40, (0.075, 0.04, 0.2, 0.4)),
    "the same, turned by 30°": (ravine(np.pi / 6), (-4.06, -0.96), 40, (0.075, 0.04, 0.2, 0.4)),
    "Rosenbrock's banana": (banana, (-1.3, 1.0), 150, (0.025, 0.025, 0.025, 0.3)),
}
walkers = {
    "SGD": (lambda lr: lambda params: optim.SGD(params, lr=lr), ORANGE, "o"),
    "momentum": (lambda lr: lambda params: optim.SGD(params, lr=lr, momentum=0.7), BLUE, "s"),
    "RMSprop": (lambda lr: lambda params: optim.RMSprop(params, lr=lr, alpha=0.9), PURPLE, "^"),
    "Adam": (lambda lr: lambda params: optim.Adam(params, lr=lr, betas=(0.8, 0.99)), GREEN, "D"),
}
paths = {}
for title, (height, start, path_steps, rates) in landscapes.items():
    paths[title] = {}
    for (name, (optimizer_of, _, _)), rate in zip(walkers.items(), rates, strict=True):
        paths[title][name] = walk(height, start, optimizer_of(rate), path_steps)
    ends = {name: height(*path[-1]) for name, path in paths[title].items()}
    print(f"{title:<24} height after {path_steps} steps:", ", ".join(f"{name} {end:.1e}" for name, end in ends.items()))

# %%
figure = chapter.figure(13, 4.2)
windows = [((-5, 2), (-2.2, 1.8)), ((-5, 2), (-3, 1)), ((-1.8, 1.8), (-0.7, 2.2))]
panels = figure.subplots(1, 3, width_ratios=[1.3, 1.3, 1])
resolution = chapter.pick(smoke=40, default=150, full=150)
for axes, (title, (height, *_)), (wide, high) in zip(panels, landscapes.items(), windows, strict=True):
    xs, ys = np.linspace(*wide, resolution), np.linspace(*high, resolution)
    heights = height(*np.meshgrid(xs, ys))
    levels = np.geomspace(0.03, heights.max(), 14)
    axes.contourf(xs, ys, heights, levels=[0, *levels], cmap="Greys", alpha=0.55, vmin=-40, vmax=heights.max())
    axes.contour(xs, ys, heights, levels=levels, colors="0.6", linewidths=0.6)
    for name, (_, color, marker) in walkers.items():
        axes.plot(*paths[title][name].T, color=color, lw=1.4, marker=marker, markersize=3.5, label=name)
    goal = (1, 1) if height is banana else (0, 0)
    axes.plot(*goal, "*", color=YELLOW, markeredgecolor="black", markersize=15, zorder=5)
    axes.set(title=title, xlabel="first weight", ylabel="second weight", xlim=wide, ylim=high)
panels[0].legend(loc="lower right", fontsize=9, ncols=2)
chapter.save(
    figure,
    "paths",
    "Paths of four optimizers to the star. SGD zigzags across the ravine, momentum rounds the corners. RMSprop and Adam "
    "measure each weight by itself; when the ravine is turned, their paths change, while the others only turn with it.",
)

# %% [markdown]
# SGD and momentum do not know which way the axes point: turn the landscape, and their paths turn with it, and end at
# the same height. RMSprop and Adam scale each weight by itself. Along the axes that makes the ravine round, and RMSprop
# runs straight to the bottom. In the turned ravine both weights feel the same mixture of steep and flat, there is
# nothing to tell apart, and RMSprop is left 400,000 times higher. In networks the weights of different layers do have
# very different scales, and that is why Adam is the first thing to try.
#
# ## Weight decay, coupled and decoupled
#
# Weight decay pulls all weights toward 0 at the same relative speed; that is the wish. *L2 regularisation* adds λ w to
# the gradient. For SGD the two are the same. For Adam? Two weights, both 1 at the start, whose gradients are pure
# noise, large for one and small for the other. *Predict* where each ends.

# %%
decayed = {"Adam, λw in the gradient": np.ones(2), "AdamW": np.ones(2)}
memories = {name: {} for name in decayed}
noise = np.random.default_rng(1)
for _ in range(1000):
    g = noise.normal(size=2) * [10.0, 0.01]
    for name, w in decayed.items():
        if name == "AdamW":
            adamw(w, g, memories[name], lr=2e-3, decay=1.0)
        else:
            adam(w, g + 1.0 * w, memories[name], lr=2e-3)
for name, w in decayed.items():
    print(f"{name:<26} loud weight {w[0]:+.2f}, quiet weight {w[1]:+.2f}")
print(f"the wish: both near (1 - ηλ)¹⁰⁰⁰ = {(1 - 2e-3) ** 1000:.2f}")

# %% [markdown]
# Inside the gradient, the decay is divided by √v̂ like everything else: the weight with the loud gradient hardly decays
# at all, and the quiet one goes straight to 0. **Decoupled** decay treats both alike. That is all there is to the W.
#
# ## Few examples at a time, and schedules
#
# With millions of examples nobody computes the whole gradient for one step. A random handful gives the right gradient
# *on average*, plus noise. The noise does not vanish at the bottom, so with a constant learning rate the weights end up
# dancing around the solution, in a cloud whose size grows with η. Large steps are fast and end up noisy; small steps
# are slow. The way out: **begin with large steps and end with small ones.**

# %%
sgd_steps = chapter.pick(smoke=200, default=3000, full=10_000)


def noisy_descent(schedule_of, lr):
    draw = np.random.default_rng(2)
    w = nn.Parameter(np.zeros(x.shape[1]))
    optimizer = optim.SGD([w], lr=lr)
    schedule = schedule_of(optimizer)
    rates, excess = [], []
    for _ in range(sgd_steps):
        rows = draw.integers(0, n, 8)  # eight examples
        optimizer.zero_grad()
        minidl.mse_loss(minidl.tensor(x[rows]) @ w, minidl.tensor(y[rows])).backward()
        optimizer.step()
        rates.append(schedule.get_last_lr()[0])
        schedule.step()
        excess.append(np.mean((x @ w.data - y) ** 2) - lowest)
    return np.array(rates), np.array(excess)


third = sgd_steps // 3
schedules = {
    "constant, large": (lambda o: optim.lr_scheduler.LambdaLR(o, lambda t: 1.0), 0.03, ORANGE),
    "constant, small": (lambda o: optim.lr_scheduler.LambdaLR(o, lambda t: 1.0), 0.001, PURPLE),
    "step: ÷ 10 at each third": (lambda o: optim.lr_scheduler.StepLR(o, third), 0.03, GREEN),
    "cosine": (lambda o: optim.lr_scheduler.CosineAnnealingLR(o, sgd_steps), 0.03, BLUE),
    "one cycle (with warm-up)": (
        lambda o: optim.lr_scheduler.OneCycleLR(o, 0.03, sgd_steps + 1, cycle_momentum=False),
        0.03,
        "black",
    ),
}
figure = chapter.figure(10, 3.8)
left, right = figure.subplots(1, 2)
last_tenth, kernel = {}, np.ones(max(1, sgd_steps // 60)) / max(1, sgd_steps // 60)
for name, (schedule_of, lr, color) in chapter.progress(schedules.items(), "schedules"):
    rates, excess = noisy_descent(schedule_of, lr)
    last_tenth[name] = excess[-sgd_steps // 10 :].mean()
    left.plot(rates, color=color)
    right.semilogy(np.convolve(excess, kernel, mode="valid"), color=color, label=name)
    print(f"{name:<25} loss above least squares, mean of the last tenth: {last_tenth[name]:.1e}")
left.set(xlabel="step", ylabel="learning rate η")
right.set(xlabel="step", ylabel="loss above that of least squares", ylim=(None, 5))
right.legend(fontsize=8, ncols=2, loc="upper right")
chapter.save(
    figure,
    "schedules",
    "Stochastic gradient descent with eight examples a step. Constant rates are either fast and noisy or slow; schedules that end "
    "with small steps get both. (The losses are running means.)",
)

# %% [markdown]
# ## Find the bug: the loop that never rests
#
# Two training loops on the whole data, with the same small learning rate. B is missing one line of A. After 30 steps B
# is far ahead; then its loss goes up again, and down, and up, and never comes to rest. Which line?

# %%
bug_steps = 121
logs = {}
for name in ("A", "B"):
    w = nn.Parameter(np.zeros(x.shape[1]))
    optimizer = optim.SGD([w], lr=5e-4)
    logs[name] = []
    for _ in range(bug_steps):
        if name == "A":
            optimizer.zero_grad()
        loss = loss_of(w)
        loss.backward()
        optimizer.step()
        logs[name].append(loss.item() - lowest)
print("loss above least squares, every 10 steps")
for name, log in logs.items():
    print(f"  {name}:", " ".join(f"{value:.2f}" for value in log[::10]))

# %% [markdown]
# **Reveal.** `optimizer.zero_grad()`. Chapter 1 told why: leaves *add up* their gradients. The sum of all gradients so
# far is v ← v + g. Where have you seen that? It is momentum with μ = 1: a ball without friction, which swings through
# the valley for ever.

# %%
w = nn.Parameter(np.zeros(x.shape[1]))
optimizer = optim.SGD([w], lr=5e-4, momentum=1.0)
frictionless = []
for _ in range(bug_steps):
    optimizer.zero_grad()
    loss = loss_of(w)
    loss.backward()
    optimizer.step()
    frictionless.append(loss.item() - lowest)
bug_gap = np.abs(np.array(frictionless) - logs["B"]).max()
print(f"B against momentum with μ = 1, largest difference of the losses: {bug_gap:.0e}")

# %% [markdown]
# ## Your turn
#
# **04.1 Huber's pull.** For L = mean of Huber(prediction - target, δ), return the gradient with respect to the
# prediction, times the incoming `gradient` (a number).


# %%
def huber_gradient(gradient, prediction, target, delta):
    raise NotImplementedError


teach.check("04.1", huber_gradient)

# %% [markdown]
# **04.2 A step of Adam.** Given weights w, gradient g, the memories m and v, and the number t of this step (1 for the
# first), return the new (w, m, v), the memories as they are before the hats. Do not change the inputs in place.


# %%
def adam_step(w, g, m, v, t, lr, beta1, beta2, eps):
    raise NotImplementedError


teach.check("04.2", adam_step)

# %% [markdown]
# **04.3 A step of SGD with momentum and decoupled weight decay.** Return the new (w, v). First the weights shrink by
# the factor 1 - ηλ; then momentum takes its step with the gradient alone.


# %%
def sgdw_step(w, g, v, lr, mu, decay):
    raise NotImplementedError


teach.check("04.3", sgdw_step)

# %% [markdown]
# **04.4 The cliff.** For the loss mean((X w - y)²), return the learning rate beyond which gradient descent diverges.


# %%
def largest_rate(X):
    raise NotImplementedError


teach.check("04.4", largest_rate)

# %% [markdown]
# ## What to remember
#
# - zero_grad, forward, backward, step.
# - η < 2/λ_max, or it diverges; κ = λ_max/λ_min says how slow it is; momentum takes the root of κ. Scaling the features
#   lowers κ for free.
# - The gradient of the loss is the pull of each example: squares let outliers rule, Huber clips them; cross-entropy
#   keeps pulling at confident mistakes.
# - Adam: running mean over root of running mean square, both corrected for starting at zero. Decay beside it, not in
#   it.
# - Noise from small batches sets a floor that shrinks with η: end with small steps.
#
# **Sources.** B. Polyak, *Some methods of speeding up the convergence of iteration methods* (1964); P. Huber, *Robust
# estimation of a location parameter* (1964); T. Tieleman, G. Hinton, *RMSprop*, Coursera lecture 6.5 (2012); D. Kingma,
# J. Ba, *Adam* (2015); I. Loshchilov, F. Hutter, *Decoupled weight decay regularization* (2019) and *SGDR* (2017,
# cosine); L. Smith, *Super-convergence* (2018, one cycle); G. Goh, *Why momentum really works*, Distill (2017). Data:
# B. Efron et al., *Least angle regression*, Annals of Statistics 32 (2004).

# %%
chapter.report(
    least_squares_gap=least_squares_gap,
    factor_gap=abs(measured - predicted),
    plain_steps=plain_steps,
    momentum_steps=heavy_steps,
    huber_gap=huber_gap,
    huber_slope=lines["Huber, δ = 0.3"][0],
    squared_slope=lines["squared"][0],
    optimizer_gap=optimizer_gap,
    decay_loud_adamw=decayed["AdamW"][0],
    decay_loud_adam=decayed["Adam, λw in the gradient"][0],
    constant_floor=last_tenth["constant, large"],
    cosine_floor=last_tenth["cosine"],
    bug_gap=bug_gap,
)
