# %% [markdown]
# # LeNet: a convolutional network reads handwriting
#
# In 1998 Yann LeCun and his colleagues taught a network to read the digits on bank cheques. It was called LeNet-5, and
# its plan is still the plan of every convolutional network:
#
# > convolve, pool, convolve, pool, then a few dense layers.
#
# This script trains it from nothing on real handwriting, in well under a minute, and draws what it has learned.
#
# **Data.** By default the 1,797 digits of 8 × 8 pixels that come with scikit-learn (from the UCI repository). If the
# environment variable `MINIDL_DATA` names a folder with MNIST, the real 60,000 and 10,000 pictures of 28 × 28 pixels.
#
# Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998).

# %%
from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim
from minidl.data import MNIST, DataLoader, Digits, TensorDataset
from minidl.train import Accuracy, Checkpoint, ConfusionMatrix, Schedule, Trainer, plot_history
from minidl.viz import plot_confusion, plot_filters, plot_images

# %% [markdown]
# ## The network
#
# A picture goes in as a tensor of shape (N, 1, 28, 28): N pictures, one channel, 28 rows, 28 columns. Watch the shapes:
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


# %% [markdown]
# ## The data
#
# Pictures become numbers around zero: pixels / 255, minus the mean, divided by the standard deviation *of the training
# set*. The test set is treated with the same two numbers; it must not tell us anything before the end.


# %%
def load_data() -> tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Name, training pictures (N, 28, 28), their labels (N,), and the same of the test set."""
    if os.environ.get("MINIDL_DATA"):
        train, test = MNIST(train=True), MNIST(train=False)
        return "MNIST", train.data / np.float32(255), train.targets, test.data / np.float32(255), test.targets
    train, test = Digits(train=True), Digits(train=False)
    return "digits", enlarge(train.data), train.targets, enlarge(test.data), test.targets


def enlarge(pictures: np.ndarray) -> np.ndarray:
    """8 × 8 to 28 × 28 pixels: 20 × 20 by bilinear interpolation, with the white margin that MNIST has, too."""
    small = minidl.tensor(pictures, dtype="float32").unsqueeze(1) / float(pictures.max())
    large = minidl.interpolate(small, size=(20, 20), mode="bilinear")
    return minidl.pad(large, (4, 4, 4, 4)).squeeze(1).numpy()


def normalised(pictures: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """To shape (N, 1, 28, 28), with mean 0 and standard deviation 1 over the training set."""
    return ((pictures - mean) / deviation).astype(np.float32)[:, None]


# %% [markdown]
# ## Training
#
# The loss is the cross-entropy, the logarithm of the probability that the network gave to the right digit. Adam takes
# the steps. The learning rate rises for the first third of the run and then falls to almost nothing ("one cycle"): large steps
# while the way is long, small ones to settle. Every epoch ends with a checkpoint, so a killed run can go on where it was
# (`--resume`), with the very same bits.


# %%
def main() -> None:
    parser = argparse.ArgumentParser(description="Train LeNet-5 on real handwritten digits.")
    parser.add_argument("--epochs", type=int, help="default: 12 on MNIST, 20 on the small digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("figures/12_lenet"), help="folder for pictures and weights")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    options = parser.parse_args()

    minidl.manual_seed(options.seed)
    name, pictures, labels, test_pictures, test_labels = load_data()
    epochs = options.epochs or (12 if name == "MNIST" else 20)
    mean, deviation = float(pictures.mean()), float(pictures.std())
    train = DataLoader(TensorDataset(normalised(pictures, mean, deviation), labels), batch_size=64, shuffle=True)
    test_inputs = normalised(test_pictures, mean, deviation)
    test = DataLoader(TensorDataset(test_inputs, test_labels), batch_size=500)

    model = lenet()
    print(f"LeNet-5 on {name}: {len(labels):,} pictures to learn from, {len(test_labels):,} to be tested on")
    print(model.summary((1, 1, 28, 28)))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=epochs * len(train))
    checkpoint = options.output / "checkpoint.safetensors"
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
    minidl.save(model.state_dict(), options.output / "lenet.safetensors")
    draw(options.output, name, model, trainer, history, results, test_inputs, test_labels)
    print(f"pictures and weights are in {options.output}/")
    print(
        f"LeNet-5 on {name}: accuracy {results['accuracy']:.2%} on {len(test_labels):,} held-out pictures, "
        f"loss {results['loss']:.4f}, {epochs} epochs in {seconds:.1f} s"
    )


# %% [markdown]
# ## Looking at it
#
# A number is not understanding. Four pictures: how the loss fell; which digits are taken for which; what the first
# layer looks for; and the mistakes of which the network was most certain. Would you have read those right?


# %%
def draw(folder, name, model, trainer, history, results, test_inputs, test_labels) -> None:
    """Write the four pictures."""
    plot_history(
        history,
        folder / "curves.png",
        title=f"LeNet-5 on {name}",
        caption="Loss and accuracy by epoch. When training goes on falling while validation rises again, "
        "the network has begun to learn its examples by heart.",
    )
    plot_confusion(
        results["confusion"],
        folder / "confusion.png",
        caption=f"{len(test_labels):,} held-out digits: rows are what was written, columns what was read. "
        "Off the diagonal are the mistakes.",
    )
    plot_filters(
        model[0].weight,
        folder / "filters.png",
        caption="The six kernels of the first layer. Each answers most strongly where the picture is dark under "
        "orange and light under blue: edges and strokes of one direction.",
    )
    logits = trainer.predict(test_inputs)
    probabilities = minidl.softmax(logits, 1).numpy()
    read = probabilities.argmax(1)
    wrong = np.flatnonzero(read != test_labels)
    worst = wrong[np.argsort(probabilities[wrong, test_labels[wrong]])][:16]
    if len(worst):
        plot_images(
            test_inputs[worst],
            [f"{test_labels[i]} read as {read[i]}\n{probabilities[i, read[i]]:.1%} sure" for i in worst],
            folder / "mistakes.png",
            caption=f"The worst of {len(wrong)} mistakes among {len(test_labels):,} held-out digits, the most certain first.",
        )


if __name__ == "__main__":
    main()
