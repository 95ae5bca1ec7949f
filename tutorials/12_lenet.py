# %% [markdown]
# # 12. LeNet: a convolutional network reads handwriting
#
# In 1998 Yann LeCun and his colleagues taught a network to read the digits on bank cheques. It was called LeNet-5, and
# its plan is still the plan of every convolutional network:
#
# > convolve, pool, convolve, pool, then a few dense layers.
#
# Here it learns from nothing on real handwriting, in well under a minute. Afterwards you can follow a picture through a
# convolutional network and know every shape on the way, count what it can learn, prepare data without fooling yourself, and
# read a confusion matrix.
#
# **Time**: smoke 2 s, default 3 s, full 40 s. **Data**: scikit-learn's digits (bundled); MNIST with MINIDL_DATA.
#
# By default the network reads the 1,797 digits of 8 × 8 pixels that come with scikit-learn (from the UCI repository). If
# `MINIDL_DATA` names a folder with MNIST, it reads the real 60,000 and 10,000 pictures of 28 × 28 pixels.
#
# Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998).

# %%
from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim, teach
from minidl.data import MNIST, DataLoader, Digits, TensorDataset
from minidl.train import Accuracy, Checkpoint, ConfusionMatrix, Schedule, Trainer, plot_history
from minidl.viz import conv_player, graph, plot_confusion, plot_filters, plot_images

chapter = teach.Chapter("12_lenet", "LeNet: a convolutional network reads handwriting")

parser = argparse.ArgumentParser(description="Train LeNet-5 on real handwritten digits.")
parser.add_argument("--epochs", type=int, help="default: 12 on MNIST, 20 on the small digits")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=chapter.folder, help="folder for pictures and weights")
parser.add_argument("--device", default="cpu", help='where to train: "cpu", or "cuda" for an NVIDIA GPU')
parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
options = parser.parse_args([] if "ipykernel" in sys.modules else None)  # a notebook's arguments are not ours

chapter.folder = options.output
minidl.manual_seed(options.seed)

# %% [markdown]
# ## The data
#
# The small digits are enlarged to what LeNet expects: 28 × 28 pixels, 20 of them for the digit, with the white margin that MNIST
# has, too. Smoke mode, which only proves that the chapter runs, looks at every fifth picture.


# %%
def enlarge(pictures: np.ndarray) -> np.ndarray:
    """8 × 8 to 28 × 28 pixels: 20 × 20 by bilinear interpolation, and a margin of 4."""
    small = minidl.tensor(pictures, dtype="float32").unsqueeze(1) / float(pictures.max())
    large = minidl.interpolate(small, size=(20, 20), mode="bilinear")
    return minidl.pad(large, (4, 4, 4, 4)).squeeze(1).numpy()


use_mnist = chapter.mode != "smoke" and bool(os.environ.get("MINIDL_DATA"))
name = "MNIST" if use_mnist else "digits"
if use_mnist:
    train_set, test_set = MNIST(train=True), MNIST(train=False)
    pictures, test_pictures = train_set.data / np.float32(255), test_set.data / np.float32(255)
else:
    train_set, test_set = Digits(train=True), Digits(train=False)
    pictures, test_pictures = enlarge(train_set.data), enlarge(test_set.data)
every = chapter.pick(smoke=5, default=1, full=1)
pictures, labels = pictures[::every], train_set.targets[::every]
test_labels = test_set.targets
print(f"LeNet-5 on {name}: {len(labels):,} pictures to learn from, {len(test_labels):,} to be tested on")

# %% [markdown]
# Pictures become numbers around zero: pixels / 255, minus the mean, divided by the standard deviation *of the training
# set*. The test set is treated with the same two numbers.
#
# Why not with its own? It stands for pictures that nobody has seen yet, and those come one by one: a single picture has no
# standard deviation to speak of. Whatever the test set tells us before the end is told in secret.

# %%
mean, deviation = float(pictures.mean()), float(pictures.std())


def prepared(pixels: np.ndarray) -> np.ndarray:
    """(N, 28, 28) to (N, 1, 28, 28), with mean 0 and standard deviation 1 over the training set."""
    return ((pixels - mean) / deviation).astype(np.float32)[:, None]


train = DataLoader(TensorDataset(prepared(pictures), labels), batch_size=64, shuffle=True)
test_inputs = prepared(test_pictures)
test = DataLoader(TensorDataset(test_inputs, test_labels), batch_size=500)
print(f"training pixels: mean {prepared(pictures).mean():+.3f}, deviation {prepared(pictures).std():.3f}")
print(f"test pixels:     mean {test_inputs.mean():+.3f}, deviation {test_inputs.std():.3f} (close, but not the same)")

# %% [markdown]
# ## The network
#
# A picture goes in as a tensor of shape (N, 1, 28, 28): N pictures, one channel, 28 rows, 28 columns. Cover the column in
# the middle and predict each shape before you look:
#
# | layer | output | what it does |
# |---|---|---|
# | convolution, 6 kernels 5 × 5 | 6 × 24 × 24 | six detectors of strokes slide over the picture; 28 - 5 + 1 = 24 |
# | max pooling 2 × 2 | 6 × 12 × 12 | keep the strongest answer of each 2 × 2 field: small shifts no longer matter |
# | convolution, 16 kernels 5 × 5 | 16 × 8 × 8 | detectors of combinations of strokes |
# | max pooling 2 × 2 | 16 × 4 × 4 | |
# | dense 256 → 120 → 84 → 10 | 10 | weigh the evidence; one score (logit) for each digit |
#
# Between them stands ReLU, max(x, 0). Without a nonlinearity the whole stack would be one linear function.


# %%
def lenet() -> nn.Sequential:
    """LeNet-5 in its modern form: ReLU and max pooling in place of tanh and averaging."""
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


model = lenet()
print(model.summary((1, 1, 28, 28)))

# %% [markdown]
# Read the table once more. Which layer has the most parameters, and which does the most multiplications? They are not the
# same: a convolution uses its few weights again at every place, a dense layer uses each of its many weights once.
#
# ### Exercise 12.1: the size of a picture after a stack of layers
#
# `layers` is a list of `(kernel, stride, padding)`. A picture of `size` pixels a side goes in; how many are left?


# %%
def size_after(size, layers):
    raise NotImplementedError


teach.check("12.1", size_after)

# %% [markdown]
# ### Exercise 12.2: the number of parameters of a network
#
# `layers` is a list of `(kind, inputs, outputs, kernel)`, where `kind` is `"conv"` (kernel × kernel weights), `"pool"` or
# `"linear"` (its kernel is 0). Every layer that learns has a bias. Try it on the table above: LeNet has 44,426.


# %%
def count_parameters(layers):
    raise NotImplementedError


teach.check("12.2", count_parameters)

# %% [markdown]
# ### Exercise 12.3: normalise with the statistics of the training set
#
# Return both arrays, prepared as above. (The caller still needs the pixels as they were.)


# %%
def normalise(train, test):
    raise NotImplementedError


teach.check("12.3", normalise)

# %% [markdown]
# ## Training
#
# The loss is the cross-entropy, the logarithm of the probability that the network gave to the right digit. Adam takes
# the steps. The learning rate rises for the first third of the run and then falls to almost nothing ("one cycle"): large steps
# while the way is long, small ones to settle. Every epoch ends with a checkpoint, so a killed run can go on where it was
# (`--resume`), with the very same bits.
#
# `model.to(device)` decides where everything is computed; the trainer sends each batch to where the model is.
#
# Before it has learned anything, what should the loss be? Ten digits, all equally likely: -log(1/10) = 2.30. If an untrained
# network starts far from that, something is wrong already.

# %%
model.to(options.device)
with minidl.no_grad():
    x, y = minidl.tensor(test_inputs, device=options.device), minidl.tensor(test_labels, device=options.device)
    first_loss = nn.functional.cross_entropy(model(x), y).item()
print(f"loss before training {first_loss:.2f}, -log(1/10) = {-np.log(0.1):.2f}")

epochs = options.epochs or chapter.pick(smoke=4, default=12 if use_mnist else 20, full=12 if use_mnist else 40)
optimizer = optim.Adam(model.parameters(), lr=1e-3)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=epochs * len(train))
checkpoint = chapter.folder / "checkpoint.safetensors"
trainer = Trainer(
    model,
    nn.CrossEntropyLoss(),
    optimizer,
    metrics=[Accuracy()],
    callbacks=[Schedule(schedule, per="batch"), Checkpoint(checkpoint)],
)
started = time.perf_counter()
history = trainer.fit(train, test, epochs, resume_from=checkpoint if options.resume else None)
seconds = time.perf_counter() - started
results = trainer.evaluate(test, [Accuracy(), ConfusionMatrix(10)])
minidl.save(model.state_dict(), chapter.folder / "lenet.safetensors")

# %% [markdown]
# ## Looking at it
#
# A number is not understanding. Four pictures. First, how the loss fell:

# %%
plot_history(
    history,
    chapter.folder / "curves.png",
    title=f"LeNet-5 on {name}",
    caption="Loss and accuracy by epoch. When training goes on falling while validation rises again, "
    "the network has begun to learn its examples by heart.",
)
chapter.show("curves")

# %% [markdown]
# Which digits are taken for which? Guess before you look: which pairs of digits would you mix up in a hurry?

# %%
plot_confusion(
    results["confusion"],
    chapter.folder / "confusion.png",
    caption=f"{len(test_labels):,} held-out digits: rows are what was written, columns what was read. "
    "Off the diagonal are the mistakes.",
)
chapter.show("confusion")

# %% [markdown]
# What does the first layer look for? Nobody told it to look for strokes.

# %%
plot_filters(
    model[0].weight,
    chapter.folder / "filters.png",
    caption="The six kernels of the first layer. Each answers most strongly where the picture is dark under "
    "orange and light under blue: edges and strokes of one direction.",
)
chapter.show("filters")

# %% [markdown]
# And the mistakes of which the network was most certain. Would you have read those right?

# %%
logits = trainer.predict(test_inputs)
probabilities = minidl.softmax(logits, 1).cpu().numpy()
read = probabilities.argmax(1)
wrong = np.flatnonzero(read != test_labels)
worst = wrong[np.argsort(probabilities[wrong, test_labels[wrong]])][: chapter.pick(smoke=4, default=16, full=16)]
if len(worst):
    plot_images(
        test_inputs[worst],
        [f"{test_labels[i]} read as {read[i]}\n{probabilities[i, read[i]]:.1%} sure" for i in worst],
        chapter.folder / "mistakes.png",
        caption=f"The worst of {len(wrong)} mistakes among {len(test_labels):,} held-out digits, the most certain first.",
    )
    chapter.show("mistakes")

# %% [markdown]
# ## Two pages to play with
#
# Open them in a browser. `convolution.html` takes the first layer apart, on a digit of the test set: point at a pixel of the output and
# see the patch, the kernel and the sum; then see where its gradient goes back to. `graph.html` is the whole computation behind one
# loss: step back through it and watch the gradients arrive, layer by layer. Where is a gradient added to (`+=`)? Nowhere: in LeNet
# every result is used once. (Which networks have such places?)

# %%
model.cpu()  # for two pages about one digit, wherever the model was trained
digit, answer = minidl.tensor(test_inputs[:1]), minidl.tensor(test_labels[:1])
conv_player(model[0], digit, chapter.folder / "convolution.html", title="LeNet's first convolution")
loss = nn.functional.cross_entropy(model(digit), answer)
names = {"picture": digit, "label": answer}
graph(loss, chapter.folder / "graph.html", model=model, names=names, title="LeNet's loss on one picture")

# %% [markdown]
# ## What to remember
#
# - Convolve, pool, convolve, pool, then dense: sizes shrink, channels grow, and every size is arithmetic.
# - A convolution has few parameters and much work; a dense layer has many parameters and little work.
# - The test set gives no numbers to the preparation of the data, it only receives them.
# - An untrained classifier of ten classes has a loss of about 2.3. Check that before you wait for anything else.

# %%
print(f"pictures, pages and weights are in {chapter.folder}/")
print(
    f"LeNet-5 on {name}: accuracy {results['accuracy']:.2%} on {len(test_labels):,} held-out pictures, "
    f"loss {results['loss']:.4f}, {epochs} epochs in {seconds:.1f} s"
)
chapter.report(accuracy=results["accuracy"], loss=results["loss"], first_loss=first_loss, epochs=epochs)
