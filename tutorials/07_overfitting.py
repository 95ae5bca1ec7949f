# %% [markdown]
# # 7. Overfitting
#
# A network with twenty-six thousand weights can learn four hundred pictures by heart, wrong labels and all. This
# chapter lets it happen, watches it, and then treats it with every household remedy there is. Half of the chapter is
# about measuring: what an accuracy hides, and which numbers tell it.
#
# Afterwards you can
#
# - read overfitting off two curves, and stop at the right moment;
# - write weight decay, an L1 penalty, dropout and augmentation, each in a line or two, and say what each one assumes;
# - choose a setting by cross-validation without fooling yourself;
# - compute precision, recall, F1, ROC, AUC and Cohen's kappa by hand, and say when accuracy is the wrong question;
# - find a bug that costs accuracy in silence: dropout left on in evaluation.
#
# **Time**: smoke 3 s, default 10 s, full 25 s. **Data**: scikit-learn's digits (bundled).

# %%
import numpy as np
from sklearn import metrics
from sklearn.model_selection import StratifiedKFold

import minidl
from minidl import nn, optim, teach
from minidl.data import Digits
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("07_overfitting", "Overfitting")

# %% [markdown]
# ## Four hundred pictures, one label in five wrong
#
# Three parts, three purposes. The network learns from the **training** part, we make our choices by the **validation**
# part, and the **test** part is opened once, at the end. To make the disease visible we take few training pictures and
# let a tired annotator label them: one label in five is replaced by a wrong digit. Validation and test labels are
# right.

# %%
rng = np.random.default_rng(0)
pool, test = Digits(train=True), Digits(train=False)
order = rng.permutation(len(pool))
pixels = pool.data.reshape(-1, 64).astype(np.float32)[order] / 255
labels = pool.targets[order]
x_val, y_val = pixels[:400], labels[:400]
x_pool, y_pool = pixels[400:], labels[400:].copy()
x_test, y_test = test.data.reshape(-1, 64).astype(np.float32) / 255, test.targets

tired = rng.random(len(y_pool)) < 0.2
y_pool[tired] = (y_pool[tired] + rng.integers(1, 10, tired.sum())) % 10  # any digit but the right one
x_train, y_train = x_pool[:400], y_pool[:400]
print(f"training {len(x_train)} ({tired[:400].mean():.0%} labels wrong), validation {len(x_val)}, test {len(x_test)}")


# %%
def new_net(dropout=0.0):
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(128, 128), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(128, 10),
    )  # fmt: skip


def measure(net, x, y):
    """Mean loss and accuracy, in evaluation mode."""
    net.eval()
    with minidl.no_grad():
        logits = net(minidl.tensor(x))
        loss = minidl.cross_entropy(logits, minidl.tensor(y)).item()
    net.train()
    return loss, float((logits.numpy().argmax(axis=1) == y).mean())


def nothing(value):
    return value


def fit(net, x, y, epochs, penalty=None, augment=nothing, watch=None, words="training"):
    """Adam, minibatches of 50. With `watch`, one row (train loss, val loss, train accuracy, val accuracy) an epoch."""
    order = np.random.default_rng(1)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    rows = []
    for _ in chapter.progress(range(epochs), words):
        for chosen in np.array_split(order.permutation(len(x)), max(1, len(x) // 50)):
            optimizer.zero_grad()
            loss = minidl.cross_entropy(net(minidl.tensor(augment(x[chosen]))), minidl.tensor(y[chosen]))
            if penalty is not None:
                loss = loss + penalty(net)
            loss.backward()
            optimizer.step()
        if watch is not None:
            (train_loss, train_right), (val_loss, val_right) = measure(net, x, y), measure(net, *watch)
            rows.append((train_loss, val_loss, train_right, val_right))
    return np.array(rows)


# %% [markdown]
# *Predict* before you run: where will the training accuracy end, and where the validation accuracy? Does the
# validation loss turn at the same epoch as the validation accuracy?

# %%
epochs = chapter.pick(smoke=15, default=100, full=200)
minidl.manual_seed(0)
plain = new_net()
curves = {"nothing": fit(plain, x_train, y_train, epochs, watch=(x_val, y_val), words="nothing")}
best_epoch = int(curves["nothing"][:, 1].argmin())
print(f"{sum(p.size for p in plain.parameters()):,} parameters for {len(x_train)} pictures")
for name, row in (("after epoch 1", 0), ("at the best validation loss", best_epoch), ("at the end", -1)):
    train_loss, val_loss, train_right, val_right = curves["nothing"][row]
    print(f"{name:28s} train {train_loss:.2f} {train_right:6.1%}   validation {val_loss:.2f} {val_right:6.1%}")
peak = int(curves["nothing"][:, 3].argmax())
print(f"best validation accuracy: epoch {peak + 1}; best validation loss: epoch {best_epoch + 1}; last epoch: {epochs}")

# %%
figure = chapter.figure(9, 3.6)
left, right = figure.subplots(1, 2)
steps = np.arange(1, epochs + 1)
for axis, column, what in ((left, 0, "loss (nats per picture)"), (right, 2, "accuracy")):
    axis.plot(steps, curves["nothing"][:, column], color=BLUE, label="training")
    axis.plot(steps, curves["nothing"][:, column + 1], color=ORANGE, linestyle="--", label="validation")
    axis.axvline(best_epoch + 1, color="0.6", linewidth=1, linestyle=":")
    axis.set(xlabel="epoch", ylabel=what)
right.axhline(1 - tired[:400].mean(), color="0.8", linewidth=1)
right.text(epochs, 1 - tired[:400].mean(), "share of right labels", fontsize=8, color="0.4", ha="right", va="top")
left.legend()
chapter.save(
    figure,
    "overfitting",
    "The training loss falls for ever; the validation loss is lowest at the dotted line. Beyond the grey line, the share of "
    "labels that are right, more training accuracy can only come from wrong labels learned by heart.",
)

# %% [markdown]
# Training accuracy above the grey line means: *wrong labels reproduced faithfully*. That is memory, not understanding.
#
# ## Early stopping
#
# The cheapest remedy is to stop at the dotted line: keep the weights of the epoch with the best validation loss. We
# cannot know the future, so we wait a few epochs without improvement (the *patience*) before we believe it. In
# `minidl.train` this is the callback `EarlyStopping`; its heart is four lines:


# %%
def stopping_epoch(val_losses, patience):
    """(the epoch whose weights are kept, the epoch in which training ends)"""
    best = 0
    for epoch, loss in enumerate(val_losses):
        if loss < val_losses[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return best, epoch


kept, ended = stopping_epoch(curves["nothing"][:, 1], patience=10)
val_accuracy = {"nothing": curves["nothing"][-1, 3], "early stopping": curves["nothing"][kept, 3]}
print(f"weights of epoch {kept + 1} kept, training ended at epoch {ended + 1} of {epochs}")
print(f"validation accuracy {val_accuracy['early stopping']:.1%} in place of {val_accuracy['nothing']:.1%}")

# %% [markdown]
# ## Penalties on the weights: L2 and L1
#
# A network that bends around single points needs large weights. So let weights cost something:
#
# $$L + \frac{\lambda}{2} \sum w^2 \;\Rightarrow\; \text{gradient} + \lambda w, \qquad\qquad
#   L + \lambda \sum |w| \;\Rightarrow\; \text{gradient} + \lambda\,\mathrm{sign}(w).$$
#
# With plain gradient descent, L2 is **weight decay**:
# $w \leftarrow w - \eta(\nabla L + \lambda w) = (1 - \eta\lambda)\,w - \eta \nabla L$, every weight shrinks by the
# same *share*. L1 pulls every weight by the same *amount*, small ones too, all the way to zero. First, the claim by
# numbers:

# %%
weight = minidl.tensor(rng.normal(size=(3, 4)), requires_grad=True)
twin = minidl.tensor(weight.detach().numpy().copy(), requires_grad=True)
inputs = minidl.tensor(rng.normal(size=(5, 3)))
penalised, decayed = optim.SGD([weight], lr=0.1), optim.SGD([twin], lr=0.1, weight_decay=0.3)
((inputs @ weight) ** 2).mean().backward()
(0.3 / 2 * (weight**2).sum()).backward()  # gradients add up
((inputs @ twin) ** 2).mean().backward()
penalised.step()
decayed.step()
decay_error = np.abs((weight - twin).detach().numpy()).max()
print(f"L2 penalty against weight_decay=, after one step of SGD: {decay_error:.1e}")


# %%
def l2(strength):
    return lambda net: strength / 2 * sum((p**2).sum() for p in net.parameters() if p.ndim == 2)


def l1(strength):
    return lambda net: strength * sum(minidl.abs(p).sum() for p in net.parameters() if p.ndim == 2)


def shifted(x):
    """Every picture moved by up to one pixel in each direction: same digit, new pixels."""
    padded = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    down, right = rng.integers(0, 3, (2, len(x)))
    return np.stack([p[i : i + 8, j : j + 8] for p, i, j in zip(padded, down, right, strict=True)]).reshape(-1, 64)


# %% [markdown]
# The last function is **augmentation**: a digit that moves by a pixel is still that digit, so each epoch may show
# every picture in a new place. It brings knowledge from outside into the training set. (Which changes leave the answer
# alone depends on the task: flip a photograph of a cat, never a "2".)
#
# ## Dropout
#
# Srivastava et al. (2014): in training, switch off each hidden unit with probability $p$, by a coin toss for every
# unit, picture and step. No unit can rely on a particular other one. In evaluation all units speak. To keep the
# expected signal the same, the survivors are scaled up *in training* ("inverted dropout"), so that evaluation needs no
# change at all:
#
# $$y = \frac{m}{1 - p}\,x, \quad m \sim \mathrm{Bernoulli}(1 - p) \quad\Rightarrow\quad
#   \mathbb{E}[y] = \frac{(1 - p)}{1 - p}\,x = x.$$


# %%
def dropout(x, p, rng):
    mask = rng.random(x.shape) >= p
    return x * mask / (1 - p)


x = np.array([1.0, 2.0, 3.0, 4.0])
draws = np.stack([dropout(x, 0.5, rng) for _ in range(4000)])
print("three draws:", *draws[:3].astype(int))
print("mean of 4000:", draws.mean(axis=0).round(2))
dropout_mean_error = np.abs(draws.mean(axis=0) / x - 1).max()

# %% [markdown]
# Now all remedies on the same patient. *Predict* the ranking.

# %%
remedies = {
    "L2": dict(penalty=l2(1e-2)),
    "L1": dict(penalty=l1(1e-3)),
    "augmentation": dict(augment=shifted),
    "dropout": dict(),
    "L2 + dropout + augm.": dict(penalty=l2(3e-3), augment=shifted),
}
nets = {"nothing": plain}
for name, options in remedies.items():
    minidl.manual_seed(0)
    nets[name] = new_net(dropout=0.5 if "dropout" in name else 0.0)
    curves[name] = fit(nets[name], x_train, y_train, epochs, **options, watch=(x_val, y_val), words=name)
    val_accuracy[name] = curves[name][-1, 3]
for name, net in nets.items():
    weights = np.concatenate([p.detach().numpy().ravel() for p in net.parameters() if p.ndim == 2])
    train_right, val_right = curves[name][-1, 2:]
    print(f"{name:21s} train {train_right:6.1%}  validation {val_right:6.1%}  rms weight {weights.std():.3f}", end="")
    print(f"  {(np.abs(weights) < 1e-3).mean():4.0%} of the weights below 0.001")

# %% [markdown]
# Each remedy gives up training accuracy (on labels that are partly wrong) and gains validation accuracy. And more is
# not better: all three at full dose, and the network cannot even learn the right labels. That is *under*fitting; the
# dose is chosen by validation.

# %%
figure = chapter.figure(9.5, 3.6)
left, right = figure.subplots(1, 2)
for name, colour, style in (("nothing", BLUE, "-"), ("L2", GREEN, "-."), ("L1", ORANGE, "--")):
    weights = np.concatenate([p.detach().numpy().ravel() for p in nets[name].parameters() if p.ndim == 2])
    heights, edges = np.histogram(weights, bins=81, range=(-0.4, 0.4))
    share = np.log10(np.maximum(heights, 0.5) / len(weights))
    left.plot((edges[1:] + edges[:-1]) / 2, share, color=colour, linestyle=style, label=name)
left.set(xlabel="weight", ylabel="log10 of the share of weights")
left.legend(fontsize=8)
ranked = sorted(val_accuracy.items(), key=lambda item: item[1])
right.barh([name for name, _ in ranked], [100 * value for _, value in ranked], color=BLUE, height=0.6)
for i, (_, value) in enumerate(ranked):
    right.text(100 * value - 0.5, i, f"{value:.1%}", va="center", ha="right", color="white", fontsize=9)
right.set(xlabel="validation accuracy (%)", xlim=(60, 100))
chapter.save(
    figure,
    "remedies",
    "Left: L2 pulls all weights in, L1 makes nearly all of them zero and lets a few live. Right: what each remedy gives on "
    "400 pictures with one label in five wrong; one validation picture is 0.25 %.",
)

# %% [markdown]
# ### Find the bug: dropout left on in evaluation
#
# The report says "same weights, same picture, another answer every time". The accuracy in the log is lower than the
# one in the paper, and training accuracy is lower than validation accuracy. What was forgotten?

# %%
net = nets["dropout"]
row = int(np.flatnonzero(y_val == 8)[2])
picture = minidl.tensor(x_val[row : row + 1])  # an 8
with minidl.no_grad():
    net.train()  # as the training loop left it
    answers = [minidl.softmax(net(picture), 1).numpy()[0, 8] for _ in range(5)]
    left_on = np.mean([(net(minidl.tensor(x_val)).numpy().argmax(axis=1) == y_val).mean() for _ in range(20)])
    net.eval()
    steady = [minidl.softmax(net(picture), 1).numpy()[0, 8] for _ in range(5)]
    switched_off = (net(minidl.tensor(x_val)).numpy().argmax(axis=1) == y_val).mean()
print("probability of the right digit, training mode:", *(f"{a:.2f}" for a in answers))
print("                             after net.eval():", *(f"{a:.2f}" for a in steady))
print(f"validation accuracy: {left_on:.1%} with dropout left on, {switched_off:.1%} in evaluation mode")

# %% [markdown]
# *Reveal.* `net.eval()`. Half of the network was missing in every answer. Unlike a crash, this bug costs a few per
# cent and makes results irreproducible, so it lives long. (Leaving it on *on purpose* and averaging many answers is a
# method, Monte Carlo dropout, Gal and Ghahramani 2016. The mean of many draws is the point there, not one draw.)
#
# ## Cross-validation
#
# How strong should the L2 penalty be? 400 validation pictures were a luxury. **k-fold cross-validation** needs none:
# cut the training set into $k$ parts, train on $k - 1$, judge on the one left out, $k$ times. The spread over the
# folds says how far to trust the mean. Two traps: everything that learns from data (also a mean for scaling) belongs
# *inside* the fold; and here the left-out labels are as noisy as the others, so even a perfect network scores only
# about 80 %.

# %%
strengths = chapter.pick(
    smoke=(0.0, 1e-2), default=(0.0, 1e-3, 1e-2, 1e-1), full=(0.0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
)
folds = StratifiedKFold(n_splits=chapter.pick(smoke=2, default=5, full=5), shuffle=True, random_state=0)
fold_epochs = chapter.pick(smoke=10, default=60, full=60)
cross = {}
for strength in strengths:
    scores = []
    for inside, outside in folds.split(x_train, y_train):
        minidl.manual_seed(0)
        net = new_net()
        fit(net, x_train[inside], y_train[inside], fold_epochs, penalty=l2(strength), words=f"lambda {strength}")
        scores.append(measure(net, x_train[outside], y_train[outside])[1])
    cross[strength] = (np.mean(scores), np.std(scores, ddof=1) / np.sqrt(len(scores)))
    print(f"lambda {strength:<6g} accuracy on left-out folds {cross[strength][0]:.1%} ± {cross[strength][1]:.1%}")
best_strength = max(cross, key=lambda strength: cross[strength][0])
print("chosen: lambda =", best_strength)

# %% [markdown]
# Read the ± before the winner: it is the standard error over the folds. Where two settings differ by less, the data
# cannot tell them apart, and the sensible choice is the stronger penalty, the simpler model.

# %% [markdown]
# ## Accuracy is not enough
#
# Someone needs a detector of eights. One in ten pictures is an 8, so the program `return "not an 8"` is 90 % accurate.
# Count the four outcomes instead: true and false, positives and negatives.
#
# $$\text{precision} = \frac{TP}{TP + FP}, \qquad \text{recall} = \frac{TP}{TP + FN}, \qquad
#   F_1 = \frac{2\,TP}{2\,TP + FP + FN}$$
#
# *Precision*: of the alarms, how many were right? *Recall*: of the eights, how many were found? $F_1$ is their
# harmonic mean. Our detector is the overfitted network; its score is the probability that it gives to the 8.


# %%
def outcomes(truth, alarm):
    return (truth & alarm).sum(), (~truth & alarm).sum(), (truth & ~alarm).sum(), (~truth & ~alarm).sum()


plain.eval()
with minidl.no_grad():
    probabilities = minidl.softmax(plain(minidl.tensor(x_test)), 1).numpy()
truth, score = y_test == 8, probabilities[:, 8].astype(float)
for name, alarm in (("never an 8", np.zeros_like(truth)), ("score > 0.5", score > 0.5), ("score > 0.05", score > 0.05)):
    tp, fp, fn, tn = outcomes(truth, alarm)
    precision, recall = tp / max(tp + fp, 1), tp / (tp + fn)
    f1 = 2 * tp / (2 * tp + fp + fn)
    print(
        f"{name:12s} accuracy {(tp + tn) / len(truth):.1%}  precision {precision:.2f}  recall {recall:.2f}  F1 {f1:.2f}"
    )

alarm = score > 0.5
tp, fp, fn, tn = outcomes(truth, alarm)
metric_errors = [
    abs(tp / (tp + fp) - metrics.precision_score(truth, alarm)),
    abs(tp / (tp + fn) - metrics.recall_score(truth, alarm)),
    abs(2 * tp / (2 * tp + fp + fn) - metrics.f1_score(truth, alarm)),
]

# %% [markdown]
# ### ROC and AUC
#
# A threshold is a choice. The **ROC curve** shows all of them at once: sort by score, lower the threshold picture by
# picture, and plot the true positive rate (recall) against the false positive rate $FP / (FP + TN)$. The area under
# it, the **AUC**, has a meaning of its own: it is the probability that a random 8 scores higher than a random other
# digit (ties count half). Two ways to compute the same number:

# %%
down = np.argsort(-score, kind="stable")
tpr = np.concatenate([[0], np.cumsum(truth[down]) / truth.sum()])
fpr = np.concatenate([[0], np.cumsum(~truth[down]) / (~truth).sum()])
area = ((fpr[1:] - fpr[:-1]) * (tpr[1:] + tpr[:-1]) / 2).sum()
eights, others = score[truth][:, None], score[~truth][None, :]
pairs = (eights > others).mean() + (eights == others).mean() / 2
auc = metrics.roc_auc_score(truth, score)
metric_errors += [abs(pairs - auc)]
print(f"area under the curve {area:.5f}, share of pairs in the right order {pairs:.5f}, scikit-learn {auc:.5f}")

# %% [markdown]
# ### Cohen's kappa
#
# For all ten classes: how much better than chance is the agreement of two annotators (here: the network and the
# truth)? With the confusion matrix $C$ of $n$ pictures, $p_o = \sum_i C_{ii} / n$ is observed, and
# $p_e = \sum_i (\text{row}_i/n)(\text{column}_i/n)$ is what two annotators with these habits reach by guessing:
#
# $$\kappa = \frac{p_o - p_e}{1 - p_e}.$$

# %%
guess = probabilities.argmax(axis=1)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (y_test, guess), 1)


def kappa(confusion):
    n = confusion.sum()
    observed = np.trace(confusion) / n
    chance = (confusion.sum(axis=1) / n) @ (confusion.sum(axis=0) / n)
    return (observed - chance) / (1 - chance)


never = np.array([[(~truth).sum(), 0], [truth.sum(), 0]])
metric_errors.append(abs(kappa(confusion) - metrics.cohen_kappa_score(y_test, guess)))
metric_error = max(metric_errors)
print(f"network: accuracy {np.trace(confusion) / confusion.sum():.1%}, kappa {kappa(confusion):.3f}")
print(f"'never an 8': accuracy {np.trace(never) / never.sum():.1%}, kappa {kappa(never):.3f}")
print(f"all metrics by hand against scikit-learn: largest difference {metric_error:.1e}")

# %%
figure = chapter.figure(9, 3.7)
left, right = figure.subplots(1, 2)
levels = np.linspace(0, 1, 41)
for mine, colour, style, label in ((~truth, ORANGE, "--", "other digits"), (truth, BLUE, "-", "eights")):
    left.plot(levels, [(score[mine] >= level).mean() for level in levels], color=colour, linestyle=style, label=label)
left.set(xlabel="threshold on the score", ylabel="share above the threshold")
left.legend()
right.plot(fpr, tpr, color=BLUE, drawstyle="steps-post", label=f"overfitted network, AUC {auc:.3f}")
right.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="guessing, AUC 0.5")
right.set(xlabel="false positive rate", ylabel="true positive rate (recall)", aspect="equal")
right.legend(fontsize=8, loc="lower right")
chapter.save(
    figure,
    "roc",
    "Left: what a threshold catches of the eights, and of the others. Right: the same two curves against each other, one "
    "point for every threshold: the ROC curve of the detector of eights.",
)

# %% [markdown]
# ## Learning curves: would more data help?
#
# Train on more and more pictures. If the gap between training and validation closes while validation still climbs,
# more data is the best regulariser of all.

# %%
sizes = chapter.pick(smoke=(50, 400), default=(50, 100, 200, 400, 1000), full=(25, 50, 100, 200, 400, 700, 1000))
repeats = chapter.pick(smoke=1, default=3, full=4)
learning = {"nothing": [], "L2": []}
for name, penalty in (("nothing", None), ("L2", l2(1e-2))):
    for size in sizes:
        scores = []
        for seed in range(repeats):
            minidl.manual_seed(seed)
            rows = np.random.default_rng(seed).permutation(len(x_pool))[:size]
            net = new_net()
            fit(
                net,
                x_pool[rows],
                y_pool[rows],
                chapter.pick(smoke=10, default=40, full=60),
                penalty,
                words=f"{size} pictures",
            )
            scores.append((measure(net, x_pool[rows], y_pool[rows])[1], measure(net, x_val, y_val)[1]))
        learning[name].append(np.mean(scores, axis=0))
    text = ", ".join(f"{size}: {row[1]:.1%}" for size, row in zip(sizes, learning[name], strict=True))
    print(f"{name:8s} validation accuracy by number of pictures  {text}")

# %%
figure = chapter.figure(6.5, 3.8)
axis = figure.subplots()
for name, colour in (("nothing", BLUE), ("L2", ORANGE)):
    for column, style, what in ((0, ":", "training"), (1, "-", "validation")):
        values = [row[column] for row in learning[name]]
        axis.plot(
            np.arange(len(sizes)),
            values,
            color=colour,
            linestyle=style,
            marker="o",
            markersize=4,
            label=f"{name}, {what}",
        )
axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
axis.set(xlabel="training pictures (one label in five wrong)", ylabel="accuracy")
axis.legend(fontsize=8)
chapter.save(
    figure,
    "learning_curve",
    "Training accuracy is measured on the noisy labels, so an honest network stays near 80 % there. With the L2 penalty, less of "
    "the noise is learned and more of the digits.",
)

# %% [markdown]
# ## The envelope is opened
#
# All choices are made: the winner on the validation pictures is our network. Now, and only once, the test set:

# %%
final = {}
winner = max(nets, key=lambda name: curves[name][-1, 3])
for name in ("nothing", winner):
    final[name] = measure(nets[name], x_test, y_test)[1]
    print(f"{name:21s} test accuracy {final[name]:.1%}")

# %% [markdown]
# ## Exercises


# %%
def my_dropout(x, u, p):
    """Inverted dropout in training: u are uniform random numbers of x's shape; a unit is dropped where u < p."""
    raise NotImplementedError


teach.check("07.1", my_dropout)


# %%
def my_precision_recall_f1(truth, alarm):
    """(precision, recall, F1) of boolean arrays; a ratio with nothing below counts as 0."""
    raise NotImplementedError


teach.check("07.2", my_precision_recall_f1)


# %%
def my_auc(truth, score):
    """Area under the ROC curve; ties between a positive and a negative count half."""
    raise NotImplementedError


teach.check("07.3", my_auc)


# %%
def my_kappa(confusion):
    """Cohen's kappa of a confusion matrix of counts."""
    raise NotImplementedError


teach.check("07.4", my_kappa)

# %% [markdown]
# ## What to remember
#
# - When the validation loss turns, stop, or regularise and go on. Loss and accuracy need not turn at the same epoch.
# - L2 shrinks by a share, L1 by an amount; dropout breaks teams; augmentation adds knowledge; more data beats them
#   all.
# - `net.eval()` before measuring, `net.train()` before training. Every time.
# - Choose by validation or cross-validation, report the spread, open the test set once.
# - Accuracy lies where classes are rare: look at precision, recall, the ROC curve, and kappa.
#
# **Sources.** Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", JMLR 15 (2014). Krogh, Hertz, "A
# simple weight decay can improve generalization", NIPS 1991. Tibshirani, "Regression shrinkage and selection via the
# lasso", JRSS B 58 (1996). Prechelt, "Early stopping - but when?" (1998). Zhang et al., "Understanding deep learning
# requires rethinking generalization", ICLR 2017. Fawcett, "An introduction to ROC analysis", Pattern Recognition
# Letters 27 (2006). Cohen, "A coefficient of agreement for nominal scales", 1960.

# %%
chapter.report(
    train=curves["nothing"][-1, 2],
    validation=val_accuracy["nothing"],
    early_stopping=val_accuracy["early stopping"],
    winner=curves[winner][-1, 3],
    decay_error=decay_error,
    dropout_mean_error=dropout_mean_error,
    dropout_left_on=left_on,
    dropout_off=switched_off,
    auc=auc,
    metric_error=metric_error,
    test=final[winner],
)
