# %% [markdown]
# # 6. Modules, initialisation, batch and layer norm
#
# Deep networks were thought to be untrainable for twenty years. What was missing was no new mathematics but two pieces
# of care: the right size for the first weights, and a layer that keeps the size right. This chapter measures both,
# after building the thing that holds a deep network together: the module.
#
# Afterwards you can
#
# - say what `nn.Module` does, because you have written it in thirty lines;
# - predict the size of a signal after twenty layers from the variance of the weights, and choose that variance;
# - judge from one plot of update ratios whether a learning rate is sensible;
# - derive batch norm's gradient, and say what running statistics are for;
# - find two bugs: a forgotten `eval()`, and a recurrent network without a nonlinearity.
#
# **Time**: smoke 3 s, default 6 s, full 15 s. **Data**: scikit-learn's digits (bundled).

# %%
import numpy as np

import minidl
from minidl import nn, optim, teach
from minidl.data import Digits
from minidl.io.figure import BLUE, GREEN, ORANGE

chapter = teach.Chapter("06_modules", "Modules, initialisation, batch and layer norm")
rng = np.random.default_rng(0)
train, test = Digits(train=True), Digits(train=False)
mean, spread = train.data.mean(), train.data.std()
x_train, x_test = ((part.data.reshape(-1, 64).astype(np.float32) - mean) / spread for part in (train, test))
y_train, y_test = train.targets, test.targets

# %% [markdown]
# ## A module, written small
#
# In chapter 5 a network was a list of tensors and a function that knew how to use them. A **module** puts the two
# together, and adds the one idea that makes it scale: a module may contain modules. Everything else, finding the
# parameters for the optimizer, switching from training to evaluation, is a walk over that tree.


# %%
class Module:
    training = True

    def __call__(self, x):
        return self.forward(x)

    def children(self):
        for value in vars(self).values():  # attributes, and lists of them
            yield from (m for m in (value if isinstance(value, list) else [value]) if isinstance(m, Module))

    def parameters(self):
        for value in vars(self).values():
            if isinstance(value, minidl.Tensor) and value.requires_grad:
                yield value
        for child in self.children():
            yield from child.parameters()

    def train(self, mode=True):
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self


class Linear(Module):
    def __init__(self, inputs, outputs):
        bound = 1 / np.sqrt(inputs)
        self.weight = minidl.tensor(rng.uniform(-bound, bound, (outputs, inputs)), dtype="float32", requires_grad=True)
        self.bias = minidl.zeros(outputs, requires_grad=True)

    def forward(self, x):
        return x @ self.weight.T + self.bias


class Tanh(Module):
    def forward(self, x):
        return minidl.tanh(x)


class Sequential(Module):
    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


# %% [markdown]
# That is a working framework. `minidl.nn` adds names for the parameters (`state_dict`, for saving), buffers (state
# that is not learned: wait for batch norm), hooks, and errors that name the layer. Give both the same weights and they
# compute the same:

# %%
ours = Sequential(Linear(64, 32), Tanh(), Linear(32, 10))
theirs = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
weights = [p.detach() for p in ours.parameters()]
theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
module_error = np.abs((ours(x_test) - theirs(minidl.tensor(x_test))).detach().numpy()).max()
print("parameters of ours:  ", [p.shape for p in ours.parameters()])
print("parameters of theirs:", {name: p.shape for name, p in theirs.named_parameters()})
print(f"largest difference of the outputs: {module_error:.1e}")

# %% [markdown]
# ## How large is a signal after twenty layers?
#
# One output of a linear layer is a sum of $n$ products, $a = \sum_{i=1}^{n} w_i x_i$. If the weights are independent
# of the inputs and centred at zero, variances add up:
#
# $$\mathrm{Var}(a) = n\,\mathrm{Var}(w)\;\mathbb{E}[x^2].$$
#
# So each layer multiplies the signal's size by $\sqrt{n\,\mathrm{Var}(w)}$, and twenty layers do so twenty times.
# *Predict*, for $n = 144$: weights of standard deviation 0.01? Of 1? What keeps the size?

# %%
WIDTH, DEPTH, ROWS = 144, 20, chapter.pick(smoke=40, default=200, full=400)
for std in (0.01, 1 / 12, 1.0):
    factor = np.sqrt(WIDTH) * std
    print(f"std {std:6.4f}: factor per layer {factor:6.2f}, after {DEPTH} layers {factor**DEPTH:.1e}")

# %% [markdown]
# That is the linear part. The bend takes its share, too:
#
# - **tanh** leaves small signals nearly alone: $\mathrm{Var}(w) = 1/n$ is right to begin with. *Backwards* the same
#   sum runs over the outputs, so Glorot and Bengio (2010) took the mean of both:
#   $\mathrm{Var}(w) = \frac{2}{n_{in} + n_{out}}$ ("**Xavier**").
# - **ReLU** sets half of a symmetric signal to zero, and with it half of $\mathbb{E}[a^2]$. He et al. (2015) give the
#   half back: $\mathrm{Var}(w) = \frac{2}{n}$ ("**He**", "Kaiming").
#
# Measure it. One forward pass and one backward pass through twenty layers, for three choices and two bends; at every
# layer we keep the activations and their gradients.

# %%
SCALES = {
    "small (0.01)": lambda n: 0.01,
    "Xavier": lambda n: np.sqrt(1 / n),  # n_in = n_out here
    "He": lambda n: np.sqrt(2 / n),
    "large (1)": lambda n: 1.0,
}


def through(bend, scale):
    """Activations and their gradients after each of DEPTH layers."""
    rng = np.random.default_rng(1)
    h = minidl.tensor(rng.normal(size=(ROWS, WIDTH)))
    hidden = []
    for _ in range(DEPTH):
        w = minidl.tensor(rng.normal(0, scale(WIDTH), (WIDTH, WIDTH)), requires_grad=True)
        h = bend(h @ w)
        h.retain_grad()
        hidden.append(h)
    h.backward(minidl.tensor(rng.normal(size=h.shape)))
    return [h.detach().numpy() for h in hidden], [h.grad.numpy() for h in hidden]


signals = {
    (bend.__name__, name): through(bend, scale) for bend in (minidl.tanh, minidl.relu) for name, scale in SCALES.items()
}
print("standard deviation of the activations after layer 1, 10 and 20")
for (bend, name), (values, _) in signals.items():
    print(f"  {bend:5s} {name:13s}" + "".join(f"{np.std(values[i]):12.2g}" for i in (0, 9, 19)))

# %%
figure = chapter.figure(9, 5)
grid = figure.subplots(2, 2, sharex=True)
styles = {"small (0.01)": (ORANGE, ":"), "Xavier": (BLUE, "-"), "He": (GREEN, "-."), "large (1)": ("0.4", "--")}
for column, bend in enumerate(("tanh", "relu")):
    for row, what in enumerate(("activations", "gradients")):
        axis = grid[row, column]
        for name, (colour, style) in styles.items():
            sizes = [np.log10(np.std(array)) for array in signals[bend, name][row]]
            axis.plot(range(1, DEPTH + 1), sizes, color=colour, linestyle=style, label=name)
        axis.set_title(f"{bend}: {what}", fontsize=10)
        axis.set_xticks([1, 5, 10, 15, 20])
        axis.grid(alpha=0.3)
    axis.set_xlabel("layer")
grid[0, 0].set_ylabel("log10 of std(h)")
grid[1, 0].set_ylabel("log10 of std(dL/dh)")
grid[0, 0].legend(fontsize=8)
chapter.save(
    figure,
    "depth",
    "Size of the signal (above, left to right) and of its gradient (below, which travels from layer 20 to 1). Flat is "
    "good: Xavier or He for tanh, He for ReLU. With tanh, large weights do no visible harm on the way forward; the gradient shows it.",
)

# %% [markdown]
# Look at tanh with large weights: the activations look perfectly healthy, standard deviation near 1. A histogram tells
# what the standard deviation hides. *Predict* its shape before you look.

# %%
figure = chapter.figure(9.5, 4.4)
panels = [("tanh", "small (0.01)"), ("tanh", "Xavier"), ("tanh", "large (1)"), ("relu", "He")]
axes = figure.subplots(2, 4, sharex=True, sharey=True)
for column, (bend, name) in enumerate(panels):
    for row in (0, 1):
        for layer, colour, style in ((1, BLUE, "-"), (10, GREEN, "-."), (20, ORANGE, "--")):
            values = signals[bend, name][row][layer - 1].ravel()
            values = values[values != 0] / np.abs(values).max()
            heights, edges = np.histogram(values, bins=41, range=(-1, 1))
            middles = (edges[1:] + edges[:-1]) / 2
            axes[row, column].plot(
                middles, heights / heights.max(), color=colour, linestyle=style, label=f"layer {layer}"
            )
    axes[0, column].set_title(f"{bend}, {name}", fontsize=10)
    axes[1, column].set_xlabel("value / largest value")
axes[0, 0].set_ylabel("activations h\n(count / highest)")
axes[1, 0].set_ylabel("gradients dL/dh\n(count / highest)")
axes[0, 0].set(yticks=[0, 1])
axes[0, 0].legend(fontsize=7, loc="upper left", handlelength=1.5)
chapter.save(
    figure,
    "histograms",
    "Shapes of activations (above) and gradients (below), each scaled to its own largest value; zeros of ReLU are left out. "
    "Large weights drive tanh to its two ends; nearly all of its gradients are then tiny beside the few largest.",
)

# %% [markdown]
# The two ends of tanh are flat (chapter 5): nearly every unit is *saturated*, says +1 or -1 whatever comes, and lets
# no gradient through. The few that are not pass theirs on through weights of size 1, and it grows without limit: the
# gradient below it is a needle of zeros with tails of $10^8$. Vanishing, exploding, saturating: three faces of one
# wrong number.
#
# ## Does it matter? Train them
#
# The same network of ten hidden layers on the digits, with plain gradient descent, four times. And a number to keep an
# eye on while it trains, the **update ratio** of each weight matrix,
#
# $$\rho = \frac{\eta\,\lVert \nabla_W L \rVert}{\lVert W \rVert},$$
#
# the relative change of the weights in one step. About $10^{-3}$ is a healthy rule of thumb (Karpathy): at $10^{-5}$
# nothing is learned, at $10^{-1}$ nothing learned survives the next step.


# %%
def deep_net(scale, hidden=10, width=64, norm=None):
    """An MLP of `hidden` layers whose weights have standard deviation scale(n), with or without normalisation."""
    layers = []
    for i in range(hidden):
        layers += [nn.Linear(64 if i == 0 else width, width), *([norm(width)] if norm else []), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(width, 10))
    for name, p in net.named_parameters():
        if p.ndim == 2:
            nn.init.normal_(p, std=float(scale(p.shape[1])))
        elif name.endswith("bias"):
            nn.init.zeros_(p)
    return net


def size(tensor):
    return np.sqrt((tensor.detach().numpy().astype(float) ** 2).sum())  # float32 would round tiny squares to zero


def fit(net, epochs, lr=0.03, words="training"):
    """Plain SGD; the loss of every step, and the update ratio of every weight matrix at every step."""
    order = np.random.default_rng(2)
    optimizer = optim.SGD(net.parameters(), lr=lr)
    matrices = [p for p in net.parameters() if p.ndim == 2]
    losses, ratios = [], []
    for _ in chapter.progress(range(epochs), words):
        for rows in np.array_split(order.permutation(len(x_train)), len(x_train) // 64):
            optimizer.zero_grad()
            loss = minidl.cross_entropy(net(minidl.tensor(x_train[rows])), minidl.tensor(y_train[rows]))
            loss.backward()
            ratios.append([lr * size(p.grad) / size(p) for p in matrices])
            optimizer.step()
            losses.append(loss.item())
    return np.array(losses), np.array(ratios)


def accuracy(net, x=x_test, y=y_test):
    with minidl.no_grad():
        return float((net(minidl.tensor(x)).numpy().argmax(axis=1) == y).mean())


epochs = chapter.pick(smoke=2, default=20, full=40)
minidl.manual_seed(0)
runs, found = {}, {}
for name, scale, norm in (
    ("small (0.05)", lambda n: 0.05, None),
    ("He", SCALES["He"], None),
    ("small + batch norm", lambda n: 0.05, nn.BatchNorm1d),
    ("small + layer norm", lambda n: 0.05, nn.LayerNorm),
):
    net = deep_net(scale, norm=norm)
    runs[name] = fit(net, epochs, words=name)
    found[name] = accuracy(net.eval())
    losses, ratios = runs[name]
    print(
        f"{name:20s} loss {losses[-20:].mean():6.3f}, test {found[name]:6.1%}, first ratios {np.median(ratios[:20]):.0e}"
    )

# %% [markdown]
# A loss of 2.30 is $\ln 10$: ten classes, no idea. The network with small weights is not slow, it is *deaf*: its
# update ratios say that the gradient never arrives. (0.05 is only 3.5 times less than He's 0.18. Ten layers make it
# $3.5^{10}$.) The last two lines use the very same bad weights and learn; how, comes next. Their ratios start above
# the rule of thumb: a normalised layer does not care for the size of $W$, so small weights mean large relative steps,
# until they have grown.

# %%
figure = chapter.figure(9, 3.8)
left, right = figure.subplots(1, 2)
looks = {
    "small (0.05)": (ORANGE, ":"),
    "He": (GREEN, "-."),
    "small + batch norm": (BLUE, "-"),
    "small + layer norm": ("0.4", "--"),
}
for name, (colour, style) in looks.items():
    losses, ratios = runs[name]
    window = min(10, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    left.plot(np.arange(len(smooth)) + window, smooth, color=colour, linestyle=style, label=name)
    middle = np.median(ratios[:20], axis=0)  # the first twenty steps
    right.plot(range(1, len(middle) + 1), np.log10(middle), color=colour, linestyle=style, marker="o", markersize=3)
left.axhline(np.log(10), color="0.7", linewidth=0.8)
left.set(xlabel="step", ylabel="training loss (nats, mean of 10 steps)", ylim=(0, 2.6))
left.legend(fontsize=8)
right.axhline(-3, color="0.7", linewidth=0.8)
right.text(1, -2.9, "rule of thumb", fontsize=7, color="0.4")
right.set(xlabel="weight matrix (1 = next to the input)", ylabel="log10 of the update ratio  lr |grad| / |w|")
right.set_xticks(range(1, 12, 2))
chapter.save(
    figure,
    "training",
    "Ten hidden layers, the same learning rate. Left: small weights never leave ln 10, unless a normalisation stands behind each "
    "layer. Right: median update ratios of the first twenty steps. The deaf network is far below the rule of thumb in every layer.",
)

# %% [markdown]
# ## Batch norm
#
# If the right size of the signal is so important, why not *make* it right, in every layer, at every step? Ioffe and
# Szegedy (2015): for each feature, subtract its mean over the batch and divide by its standard deviation. Then let the
# network rescale it with learned $\gamma$ and $\beta$, in case it knows better:
#
# $$\mu = \frac1N \sum_i x_i, \quad \sigma^2 = \frac1N \sum_i (x_i - \mu)^2, \quad
#   \hat x_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}}, \quad y_i = \gamma \hat x_i + \beta.$$

# %%
EPS = 1e-5


def batch_norm(x, gamma, beta):
    mu = x.mean(axis=0)
    var = ((x - mu) ** 2).mean(axis=0)
    return gamma * (x - mu) / np.sqrt(var + EPS) + beta


x = rng.normal(3, 5, (8, 4))
gamma, beta = rng.normal(size=4), rng.normal(size=4)
normed = batch_norm(x, np.ones(4), np.zeros(4))
print("mean before", x.mean(axis=0).round(2), "after", normed.mean(axis=0).round(6) + 0.0)
print("std  before", x.std(axis=0).round(2), "after", normed.std(axis=0).round(6))

# %% [markdown]
# ### Backwards
#
# Let $g_i = \partial L / \partial y_i$. The easy ones: $\partial L/\partial\beta = \sum_i g_i$ and
# $\partial L/\partial\gamma = \sum_i g_i \hat x_i$. For $x$, watch out: each $x_i$ also moves $\mu$ and $\sigma$, and
# so every other output. With $s = 1/\sqrt{\sigma^2 + \epsilon}$,
#
# $$\frac{\partial \hat x_j}{\partial x_i} = s\Big([i=j] - \frac1N - \frac{\hat x_i \hat x_j}{N}\Big)
# \quad\Longrightarrow\quad
# \frac{\partial L}{\partial x_i} = \gamma s \Big( g_i - \underbrace{\tfrac1N \textstyle\sum_j g_j}_{\text{through } \mu}
#   - \hat x_i \underbrace{\tfrac1N \textstyle\sum_j g_j \hat x_j}_{\text{through } \sigma} \Big).$$
#
# A beautiful reading: the gradient loses its mean and its part along $\hat x$. Batch norm's output does not change
# when the whole batch is shifted or stretched, so no gradient may ask for a shift or a stretch.


# %%
def batch_norm_backward(g, x, gamma):
    mu, var = x.mean(axis=0), x.var(axis=0)
    s = 1 / np.sqrt(var + EPS)
    x_hat = (x - mu) * s
    dx = gamma * s * (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0))
    return dx, (g * x_hat).sum(axis=0), g.sum(axis=0)


g = rng.normal(size=x.shape)
dx, dgamma, dbeta = batch_norm_backward(g, x, gamma)
numeric = np.zeros_like(x)
for i in np.ndindex(*x.shape):
    up, down = x.copy(), x.copy()
    up[i] += 1e-5
    down[i] -= 1e-5
    numeric[i] = ((batch_norm(up, gamma, beta) - batch_norm(down, gamma, beta)) * g).sum() / 2e-5

inputs = [minidl.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
minidl.batch_norm(inputs[0], None, None, inputs[1], inputs[2], training=True).backward(minidl.tensor(g))
norm_error = np.abs(dx - numeric).max()
print(f"dx by hand against central differences: {norm_error:.1e}")
for name, mine, tensor in zip(("dx", "dgamma", "dbeta"), (dx, dgamma, dbeta), inputs, strict=True):
    print(f"{name} by hand against minidl: {np.abs(mine - tensor.grad.numpy()).max():.1e}")
print("dx summed over the batch:", dx.sum(axis=0).round(12) + 0.0)

# %% [markdown]
# ### Running statistics
#
# In training, what comes out for one picture depends on the *other pictures* in its batch. At the end you want an
# answer for one picture alone. So in training the layer also keeps running averages,
# $\text{running} \leftarrow (1 - m)\,\text{running} + m\,\text{batch}$ with $m = 0.1$, and in evaluation uses them in
# place of the batch's. They are *buffers*: part of the state, not learned. `train()` and `eval()` switch between the
# two behaviours.

# %%
layer = nn.BatchNorm1d(1)
stream = np.random.default_rng(3)
for step in range(1, 61):
    layer(minidl.tensor(stream.normal(7, 2, (32, 1)), dtype="float32"))
    if step in (1, 10, 60):
        print(
            f"after {step:2d} batches: running mean {layer.running_mean.item():.2f}, var {layer.running_var.item():.2f}"
        )
print(
    "the stream has mean 7 and variance 4; in eval() the value 7 becomes",
    round(layer.eval()(minidl.tensor([[7.0]])).item(), 2),
)

# %% [markdown]
# ### Find the bug: `eval()` was forgotten
#
# A colleague trains the batch-norm network, and it is good. Then pictures arrive sorted in folders, one per digit, and
# the program answers them folder by folder. It has become almost useless. Nothing was changed. What happened?

# %%
minidl.manual_seed(1)
net = deep_net(SCALES["He"], hidden=3, norm=nn.BatchNorm1d)
fit(net, chapter.pick(smoke=3, default=15, full=20), words="3 hidden layers")


def folder_by_folder(net):
    right = [
        accuracy(net, x_test[y_test == digit], y_test[y_test == digit]) * (y_test == digit).sum() for digit in range(10)
    ]
    return sum(right) / len(y_test)


state = {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}
forgotten = folder_by_folder(net)  # the network still is in training mode
for _ in range(30):
    net(minidl.tensor(x_test[y_test == 0]))  # a long day in the folder of zeros
after_damage = accuracy(net.eval())
net.load_state_dict(state)
remembered = folder_by_folder(net.eval())
print(f"in training mode, one folder a batch: {forgotten:.1%}")
print(f"with net.eval():                      {remembered:.1%}")
print(f"eval(), after a day in training mode: {after_damage:.1%}")

# %% [markdown]
# *Reveal.* In training mode each folder is normalised by its own statistics. What all sevens have in common, their
# mean, is exactly what batch norm subtracts. And the last line: in training mode every call also moves the running
# statistics. After thirty batches of zeros the network stays damaged, `eval()` or not: test data has leaked into the
# model. Write `net.eval()` before every prediction (`Trainer.evaluate` and `Trainer.predict` do it for you).
#
# ## Layer norm
#
# Ba, Kiros and Hinton (2016) turn the picture by 90 degrees: normalise the features of *each example* by themselves,
# over the row in place of the column. There is no batch in the formula, so no running statistics, no difference
# between training and evaluation, no trouble with a batch of one. Transformers use it everywhere.

# %%
layer = nn.LayerNorm(4)
rows = rng.normal(3, 5, (2, 4)).astype(np.float32)
by_hand = (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + EPS)
both = layer(minidl.tensor(rows)).detach().numpy()
alone = layer(minidl.tensor(rows[:1])).detach().numpy()
print(f"by hand against nn.LayerNorm:     {np.abs(by_hand - both).max():.1e}")
print(f"row 0 alone against in the batch: {np.abs(alone - both[:1]).max():.1e}")

# %% [markdown]
# ## Find the bug: a recurrent network without a nonlinearity
#
# A recurrent layer walks along a sequence and keeps a memory: $h_t = \tanh(A h_{t-1} + B x_t)$. It is depth in time,
# with the same weights in every layer, and it fits in a module. This one was handed in for the task "was the number of
# ones odd?" on all bit strings of length four. It trains for as long as you like and stays at chance. What is missing?


# %%
class RNN(nn.Module):
    def __init__(self, inputs, memory, bend):
        self.inward = nn.Linear(inputs, memory)
        self.around = nn.Linear(memory, memory, bias=False)
        self.bend = bend

    def forward(self, x):  # (batch, time, inputs) -> (batch, time, memory)
        h = minidl.zeros(x.shape[0], self.around.weight.shape[0])
        states = []
        for t in range(x.shape[1]):
            h = self.bend(self.inward(x[:, t]) + self.around(h))
            states.append(h)
        return minidl.stack(states, 1)


class Parity(nn.Module):
    def __init__(self, bend):
        self.first, self.second = RNN(1, 16, bend), RNN(16, 16, bend)  # two recurrences, stacked
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        return self.head(self.second(self.first(x))[:, -1])


bits = np.array([[i >> k & 1 for k in range(4)] for i in range(16)])
sequences = minidl.tensor((2 * bits - 1)[:, :, None], dtype="float32")
odd = minidl.tensor(bits.sum(axis=1) % 2)
parity = {}
for name, bend in (("handed in: no bend", lambda h: h), ("with tanh", minidl.tanh)):
    minidl.manual_seed(2)
    net = Parity(bend)
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    for _ in chapter.progress(range(chapter.pick(smoke=100, default=300, full=300)), name):
        optimizer.zero_grad()
        minidl.cross_entropy(net(sequences), odd).backward()
        optimizer.step()
    with minidl.no_grad():
        parity[name] = float((net(sequences).numpy().argmax(axis=1) == odd.numpy()).mean())
        x1, x2, none = sequences[:8], sequences[8:], minidl.zeros(8, 4, 1)
        sides = net(x1 + x2) + net(none), net(x1) + net(x2)
        gap = np.abs((sides[0] - sides[1]).numpy()).max()
    print(f"{name:19s} right on {parity[name]:.0%}; |f(x+y) + f(0) - f(x) - f(y)| is at most {gap:.1e}")

# %% [markdown]
# *Reveal.* The bend is missing. Unroll it: $h_T = \sum_t A^{T-t} B x_t$, one fixed matrix for each moment, and a stack
# of two such layers is again a sum of fixed matrices times inputs. The second column is the proof by numbers:
# $f(x + y) + f(0) = f(x) + f(y)$ holds to rounding, so the whole stack is affine, and no affine function knows parity.
# (And with $A^{T-t}$ in view: the same matrix multiplied $T$ times is the twenty layers from above. This is why plain
# recurrent networks forget.)
#
# ## Exercises


# %%
def my_he_std(shape):
    """Standard deviation of He's initialisation for a weight of shape (outputs, inputs, kernel sizes ...)."""
    raise NotImplementedError


teach.check("06.1", my_he_std)


# %%
def my_batch_norm_training(x, gamma, beta, running_mean, running_var, momentum, eps):
    """(y, new running mean, new running var) for x (N, C); the running variance takes the unbiased one, / (N - 1)."""
    raise NotImplementedError


teach.check("06.2", my_batch_norm_training)


# %%
def my_batch_norm_backward(g, x, gamma, eps):
    """(dx, dgamma) of y = gamma * x_hat for an incoming gradient g (N, C)."""
    raise NotImplementedError


teach.check("06.3", my_batch_norm_backward)


# %%
def my_layer_norm(x, eps):
    """Layer norm of x (..., C) over its last axis, without gamma and beta."""
    raise NotImplementedError


teach.check("06.4", my_layer_norm)

# %% [markdown]
# ## What to remember
#
# - A module is parameters, children and a forward; the rest is a walk over the tree.
# - $\mathrm{Var}(a) = n\,\mathrm{Var}(w)\,\mathbb{E}[x^2]$, once per layer. Xavier for tanh, He for ReLU; and look at
#   the gradients, not only at the activations.
# - Update ratios near $10^{-3}$ in every layer are a good sign; $10^{-6}$ in one layer is a diagnosis.
# - Batch norm couples the examples of a batch: train with the batch's statistics, predict with the running ones, never
#   forget `eval()`.
# - Layer norm has no such coupling, and no modes.
#
# **Sources.** Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
# (2010). He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV (2015). Ioffe, Szegedy, "Batch normalization", ICML
# (2015). Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450. The update ratio as a diagnosis: Karpathy,
# Stanford CS231n notes and "Neural networks: zero to hero".

# %%
relu_he = [np.std(values) for values in signals["relu", "He"][0]]
chapter.report(
    module_error=module_error,
    he_growth=relu_he[-1] / relu_he[0],
    he=found["He"],
    small=found["small (0.05)"],
    batch_norm=found["small + batch norm"],
    layer_norm=found["small + layer norm"],
    norm_error=norm_error,
    eval_forgotten=forgotten,
    eval_remembered=remembered,
    eval_too_late=after_damage,
    parity_linear=parity["handed in: no bend"],
    parity_tanh=parity["with tanh"],
)
