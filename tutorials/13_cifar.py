# %% [markdown]
# # 13. CIFAR CNNs
#
# Colour pictures of 32 × 32 pixels, ten classes, and two small networks that every course on deep learning has met.
# This chapter trains them twice, with `Trainer.fit` and with the loop written out, and shows that the numbers are the
# same to the last bit. Then it lets the pictures wander (augmentation), and asks of every class how well it is
# recognised and with what it is confused.
#
# Afterwards you can
#
# - read a network's shapes, parameters and multiply-adds off its definition;
# - write the training loop from memory, and know what `fit` adds to it;
# - choose augmentations that leave the answer alone, and recognise one that does not;
# - report a classifier honestly: per class, with its confusions, beside another implementation of the same thing.
#
# **Time**: smoke 3 s, default 20 s, full 9 min (half of it PyTorch). **Data**: scikit-learn's digits on its two photographs (bundled); full: CIFAR-10.
#
# **About the data.** scikit-learn bundles no CIFAR, and a chapter must run offline. So smoke and default mode use real
# things that are bundled: handwritten digits, blended into patches of the photographs `china.jpg` and `flower.jpg`, in
# the manner of MNIST-M (Ganin and Lempitsky 2015). It is a colour-picture task of CIFAR's shape, but an easier one. In
# full mode the networks also train on CIFAR-10 from `MINIDL_DATA`, 50,000 pictures to learn from and 10,000 to test
# on.

# %%
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import minidl
from minidl import nn, optim, teach
from minidl.data import CIFAR10, DataLoader, Dataset, Digits, load_image
from minidl.data import transforms as T
from minidl.io.figure import BLUE, GREEN, ORANGE
from minidl.train import Accuracy, Schedule, Trainer
from minidl.viz import plot_confusion

chapter = teach.Chapter("13_cifar", "CIFAR CNNs")

# %% [markdown]
# ## Digits on photographs
#
# Enlarge a digit to 24 × 24 pixels, put a margin of 4 around it, and take $|\text{patch} - \text{digit}|$ in every
# colour channel: where the digit is, the photograph appears in negative. Nothing may leak from training to test: the
# test digits are other digits, *and* their patches are cut from the right third of the photographs, which no training
# patch has seen.

# %%
images = Path(find_spec("sklearn").submodule_search_locations[0], "datasets", "images")  # as in chapter 8
photographs = [np.asarray(load_image(images / name)) for name in ("china.jpg", "flower.jpg")]


def on_photographs(digits, copies, columns, seed):
    """Pictures (N, 32, 32, 3) and labels (N,): each digit `copies` times, on patches from these columns."""
    rng = np.random.default_rng(seed)
    small = minidl.tensor(digits.data[:, None], dtype="float32") / 255
    strokes = minidl.pad(minidl.interpolate(small, size=(24, 24), mode="bilinear"), (4, 4, 4, 4)).numpy()
    pictures = []
    for stroke in np.concatenate([strokes[:, 0]] * copies):
        photograph = photographs[rng.integers(2)]
        top, left = rng.integers(photograph.shape[0] - 32), rng.integers(columns[0], columns[1] - 32)
        patch = photograph[top : top + 32, left : left + 32].astype(np.float32)
        pictures.append(np.abs(patch - 255 * stroke[:, :, None]))
    return np.array(pictures).astype(np.uint8), np.tile(digits.targets, copies)


x_train, y_train = on_photographs(Digits(train=True), chapter.pick(smoke=1, default=2, full=2), (0, 420), seed=0)
x_test, y_test = on_photographs(Digits(train=False), 1, (420, 640), seed=1)
if chapter.mode == "smoke":
    x_train, y_train, x_test, y_test = x_train[:448], y_train[:448], x_test[:120], y_test[:120]
classes = list("0123456789")
print(f"{len(x_train)} pictures to learn from, {len(x_test)} to be tested on, each {x_train.shape[1:]}")

# %% [markdown]
# A dataset is a length and a way to get item $i$ (chapter 11). The transform is applied when the item is fetched, so a
# random one gives another picture every epoch. Mean and standard deviation of each colour are those of *training*
# pictures.


# %%
class Pictures(Dataset):
    def __init__(self, data, targets, transform):
        self.data, self.targets, self.transform = data, targets, transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.transform(self.data[index]), self.targets[index]


def preparation(pictures, *augmentations):
    """Augment, make a Tensor (3, 32, 32) of 0...1, and give each colour mean 0 and standard deviation 1."""
    some = pictures[:5000] / 255  # enough for two digits of precision
    return T.Compose([*augmentations, T.ToTensor(), T.Normalize(some.mean(axis=(0, 1, 2)), some.std(axis=(0, 1, 2)))])


plain = preparation(x_train)
test_loader = DataLoader(Pictures(x_test, y_test, plain), batch_size=256)

# %% [markdown]
# ## Two networks
#
# | | network A | shape | network B | shape |
# |---|---|---|---|---|
# | convolution | 32 kernels 3 × 3 | 32 × 30 × 30 | 6 kernels 5 × 5 | 6 × 28 × 28 |
# | max pooling | 2 × 2 | 32 × 15 × 15 | 2 × 2 | 6 × 14 × 14 |
# | convolution | 64 kernels 3 × 3 | 64 × 13 × 13 | 16 kernels 5 × 5 | 16 × 10 × 10 |
# | max pooling | 2 × 2 | 64 × 6 × 6 | 2 × 2 | 16 × 5 × 5 |
# | dense | 2304 → 64 → 10 | 10 | 400 → 120 → 84 → 10 | 10 |
#
# B is LeNet in colour (chapter 12), the first network of PyTorch's tutorial; A is the first of TensorFlow's, without
# its third convolution. *Predict*: which has more parameters, and where do they sit? Which needs more multiplications,
# and where?


# %%
def network_a():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def network_b():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


print(network_a().summary((1, 3, 32, 32)))
print(network_b().summary((1, 3, 32, 32)))

# %% [markdown]
# The parameters sit in the first dense layer, the multiplications in the convolutions: a kernel is small, but it is
# used at every place.
#
# ## The loop, written out, and `fit`
#
# Four lines learn, the rest counts. If you remember one piece of code of this course, let it be this one.


# %%
def explicit(net, loader, epochs):
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(epochs):
        total, seen = 0.0, 0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = minidl.cross_entropy(net(inputs), targets)
            loss.backward()
            optimizer.step()
            total, seen = total + loss.item() * len(targets), seen + len(targets)
        losses.append(total / seen)
    return losses


def with_fit(net, loader, epochs):
    optimizer = optim.Adam(net.parameters(), lr=1e-3)
    return Trainer(net, nn.CrossEntropyLoss(), optimizer).fit(loader, epochs=epochs)["loss"]


few = chapter.pick(smoke=64, default=512, full=512)
results = []
for way in (explicit, with_fit):
    minidl.manual_seed(0)  # the same first weights
    net = network_b()
    loader = DataLoader(Pictures(x_train[:few], y_train[:few], plain), batch_size=64, shuffle=True, seed=0)
    losses = way(net, loader, 2)  # the same batches
    results.append((losses, [p.detach().numpy() for p in net.parameters()]))
    print(f"{way.__name__:9s} losses of two epochs:", *(f"{loss:.12f}" for loss in losses))
same = results[0][0] == results[1][0] and all(map(np.array_equal, results[0][1], results[1][1]))
print("losses and all weights equal to the last bit:", same)

# %% [markdown]
# There is no magic in `fit`. What it adds is around the loop: validation, metrics, schedules, checkpoints to resume
# from, a progress bar, and `eval()` where you might forget it (chapter 6).
#
# ## Augmentation
#
# Move the picture by up to three pixels: `RandomCrop(32, padding=3)` pads and cuts 32 × 32 out at a random place. For
# photographs of things, `RandomHorizontalFlip` doubles the data at no cost: a cat seen from the left is still a cat.

# %%
crop = T.RandomCrop(32, padding=3)
minidl.manual_seed(3)
figure = chapter.figure(9, 3.2)
axes = figure.subplots(2, 8)
for column in range(8):
    axes[0, column].imshow(x_train[column])
    axes[0, column].set_title(classes[y_train[column]], fontsize=10)
    axes[1, column].imshow(crop(x_train[2]))
for axis in axes.ravel():
    axis.set_axis_off()
chapter.save(
    figure,
    "pictures",
    "Above: eight training pictures and their labels, digits in negative on pieces of two photographs. Below: the third one "
    "as eight epochs see it after random crops.",
)


# %%
def train(net, x, y, transform, validation, epochs, lr):
    """Adam with a cosine schedule down to 0; the history, with validation accuracy."""
    loader = DataLoader(Pictures(x, y, transform), batch_size=64, shuffle=True, seed=0)
    optimizer = optim.Adam(net.parameters(), lr=lr)
    cosine = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    trainer = Trainer(net, nn.CrossEntropyLoss(), optimizer, [Accuracy()], [Schedule(cosine, per="batch")])
    trainer.fit(loader, validation, epochs=epochs)
    return trainer


epochs, LR = chapter.pick(smoke=3, default=10, full=10), 2e-3
plans = {
    "B": (network_b, plain),
    "B, crops": (network_b, preparation(x_train, crop)),
    "A, crops": (network_a, preparation(x_train, crop)),
}
trainers, accuracies = {}, {}
for name, (network, transform) in plans.items():
    minidl.manual_seed(0)
    trainers[name] = train(network(), x_train, y_train, transform, test_loader, epochs, lr=LR)
    history = trainers[name].history
    accuracies[name] = history["val_accuracy"][-1]
    seconds, learned = sum(history["seconds"]), history["accuracy"][-1]
    print(f"{name:9s} {seconds:5.1f} s, training {learned:.1%}, test {accuracies[name]:.1%}")

# %% [markdown]
# Look at B with and without crops: *training* accuracy falls, because the task has become harder, and the gap to the
# test accuracy closes or turns round. That is what a regulariser does (chapter 7).
#
# ### Find the bug: an augmentation that changes the answer
#
# "More augmentation is better", so a colleague copies two lines from a program for satellite pictures:
# `RandomHorizontalFlip()` and `RandomVerticalFlip()`. *Predict* which digits suffer.

# %%
minidl.manual_seed(0)
flips = preparation(x_train, T.RandomHorizontalFlip(), T.RandomVerticalFlip())
flipped = train(network_b(), x_train, y_train, flips, test_loader, epochs, lr=LR)
flip_accuracy = flipped.evaluate(test_loader)["accuracy"]
print(f"test accuracy with both flips {flip_accuracy:.1%}, without {accuracies['B']:.1%}")
print("digit          ", *(f"{digit:4d}" for digit in range(10)))
for name, trainer in (("without flips", trainers["B"]), ("with both flips", flipped)):
    right = trainer.predict(test_loader).numpy().argmax(axis=1) == y_test
    print(f"{name:15s}", *(f"{right[y_test == digit].mean():4.0%}" for digit in range(10)))

# %% [markdown]
# *Reveal.* Both flips together are a rotation by 180 degrees: nearly a 9 of every 6. A mirrored 2 is not far from a 5,
# nor an upside-down 7 from a 4 that lost its bar. The network is shown such shapes under two labels, and spends its
# strength on shapes that it will never meet. An augmentation must leave the label alone; whether it does is a question
# about the *task*, and no library can answer it.
#
# ## CIFAR-10
#
# The real thing: airplanes, automobiles, birds, cats, deer, dogs, frogs, horses, ships, trucks; 50,000 to learn from.
# Network A, Adam with a cosine schedule, crops and horizontal flips. If PyTorch is installed, the same network is
# trained there too: the same first weights, the same batches in the same order, the same optimizer. The accuracies
# then differ only by rounding, which training amplifies.
#
# On two cores of a virtual machine, with the pictures re-encoded as JPEG, network A reached 74.2 % of the 10,000 test
# pictures after 12 epochs and 3.8 minutes; PyTorch 2.13 reached 74.2 % in 4.5 minutes. What do you expect of B, with a
# third of the weights?


# %%
def train_in_torch(torch, state, loader, test_loader, epochs, lr):
    """Network A in PyTorch from the weights `state`: (test accuracy, seconds)."""
    tnn = torch.nn
    net = tnn.Sequential(
        tnn.Conv2d(3, 32, 3), tnn.ReLU(), tnn.MaxPool2d(2),
        tnn.Conv2d(32, 64, 3), tnn.ReLU(), tnn.MaxPool2d(2),
        tnn.Flatten(), tnn.Linear(64 * 6 * 6, 64), tnn.ReLU(), tnn.Linear(64, 10),
    )  # fmt: skip
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    started = time.perf_counter()
    for _ in chapter.progress(range(epochs), "PyTorch"):
        for inputs, targets in loader:
            optimizer.zero_grad()
            tnn.functional.cross_entropy(
                net(torch.from_numpy(inputs.numpy())), torch.from_numpy(targets.numpy())
            ).backward()
            optimizer.step()
            cosine.step()
    seconds = time.perf_counter() - started
    with torch.no_grad():
        right = [(net(torch.from_numpy(x.numpy())).argmax(1).numpy() == y.numpy()).sum() for x, y in test_loader]
    return sum(right) / len(test_loader.dataset), seconds


final, final_test, final_labels, extra = trainers["A, crops"], test_loader, y_test, {}
data_name = "digits on photographs"
if chapter.mode == "full":
    cifar_train, cifar_test = CIFAR10(train=True), CIFAR10(train=False)
    classes, final_labels, data_name = cifar_train.classes, cifar_test.targets, "CIFAR-10"
    source = "official files" if cifar_train.verified else "not the official files: say so with every result"
    print(f"CIFAR-10, {len(cifar_train)} and {len(cifar_test)} pictures ({source})")
    moving = preparation(cifar_train.data, T.RandomCrop(32, padding=2), T.RandomHorizontalFlip())
    final_test = DataLoader(Pictures(cifar_test.data, final_labels, preparation(cifar_train.data)), batch_size=256)
    for name, network, passes in (("B on CIFAR-10", network_b, 4), ("A on CIFAR-10", network_a, 12)):
        minidl.manual_seed(0)
        net = network()
        first_weights = {key: tensor.numpy().copy() for key, tensor in net.state_dict().items()}
        started = time.perf_counter()
        final = trainers[name] = train(net, cifar_train.data, cifar_train.targets, moving, None, passes, lr=LR)
        seconds = time.perf_counter() - started
        accuracies[name] = final.evaluate(final_test)["accuracy"]
        print(f"{name}: {passes} epochs in {seconds:.0f} s, test accuracy {accuracies[name]:.2%}")
    extra = {"cifar_b": accuracies["B on CIFAR-10"], "cifar_a": accuracies["A on CIFAR-10"], "cifar_a_seconds": seconds}
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: no comparison")
    else:
        torch.set_num_threads(minidl.get_num_threads())
        loader = DataLoader(
            Pictures(cifar_train.data, cifar_train.targets, moving), batch_size=64, shuffle=True, seed=0
        )
        accuracy, seconds = train_in_torch(torch, first_weights, loader, final_test, passes, lr=LR)
        print(f"A in PyTorch {torch.__version__}: {passes} epochs in {seconds:.0f} s, test accuracy {accuracy:.2%}")
        extra |= {"torch_a": accuracy, "torch_a_seconds": seconds}
else:
    print("CIFAR-10 itself: MINIDL_MODE=full, with MINIDL_DATA naming the folder of its binary version")

# %% [markdown]
# ## Class by class
#
# One number for ten classes hides which of them fail. The accuracy *of a class* divides by the number of pictures that
# truly belong to it: it is the class's recall (chapter 7).

# %%
scores = final.predict(final_test).numpy()
guess = scores.argmax(axis=1)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (final_labels, guess), 1)
per_class = np.diag(confusion) / confusion.sum(axis=1)
for name, share, count in zip(classes, per_class, confusion.sum(axis=1), strict=True):
    print(f"{name:>10s} {share:6.1%} of {count}")
off = confusion - np.diag(np.diag(confusion))
row, column = np.unravel_index(off.argmax(), off.shape)
print(f"most common confusion: {off.max()} times {classes[row]} taken for {classes[column]}")

# %%
plot_confusion(
    confusion,
    chapter.folder / "confusion.png",
    classes,
    caption="Confusions of network A on test pictures it has not learned from. Rows: what it is; columns: what the network said.",
)
chapter.show("confusion")

figure = chapter.figure(9, 3.7)
left, right = figure.subplots(1, 2)
for name, colour, style in (("B", ORANGE, "--"), ("B, crops", BLUE, "-"), ("A, crops", GREEN, "-.")):
    history = trainers[name].history
    left.plot(history["epoch"], history["val_accuracy"], color=colour, linestyle=style, label=f"{name}: test")
    left.plot(history["epoch"], history["accuracy"], color=colour, linestyle=style, linewidth=0.7, alpha=0.6)
left.set(xlabel="epoch", ylabel="accuracy (thin: training)", title="digits on photographs")
left.legend(fontsize=8)
ranking = np.argsort(per_class)
right.barh(np.arange(10), 100 * per_class[ranking], color=BLUE, height=0.65)
right.set_yticks(range(10), [classes[i] for i in ranking])
right.set(xlabel="accuracy of the class (%)", xlim=(0, 100), title=f"network A on {data_name}")
chapter.save(
    figure,
    "results",
    "Left: learning curves; with crops the training accuracy stays below the test accuracy. Right: how many pictures of each "
    "class network A recognises, the hardest class at the bottom.",
)

# %% [markdown]
# ## Exercises


# %%
def my_crop(picture, padding, top, left):
    """Pad (H, W, C) with zeros on all sides, then cut an (H, W, C) piece whose corner is at (top, left)."""
    raise NotImplementedError


teach.check("13.1", my_crop)


# %%
def my_per_class_accuracy(labels, guesses, classes):
    """Array (classes,): of the samples of each class, the share that was recognised; 0 for a class without samples."""
    raise NotImplementedError


teach.check("13.2", my_per_class_accuracy)


# %%
def my_multiply_adds(size, channels, kernels, kernel, classes):
    """Multiply-adds of conv(channels -> kernels, kernel x kernel), pool 2, flatten, dense -> classes, on size x size."""
    raise NotImplementedError


teach.check("13.3", my_multiply_adds)

# %% [markdown]
# ## What to remember
#
# - zero_grad, forward, backward, step: everything else in a training program is bookkeeping.
# - In a small CNN the parameters sit in the first dense layer, the arithmetic in the convolutions.
# - An augmentation is a statement about the task. Crops suit nearly everything, flips do not suit digits.
# - Report per class, show the confusions, name the data exactly, and put another implementation beside yours.
#
# **Sources.** Krizhevsky, "Learning multiple layers of features from tiny images" (2009), CIFAR-10. Ganin, Lempitsky,
# "Unsupervised domain adaptation by backpropagation", ICML (2015) (MNIST-M). Loshchilov, Hutter, "SGDR", ICLR 2017
# (the cosine schedule). The networks: the tutorials "Training a classifier" of PyTorch and "Convolutional neural
# network" of TensorFlow. Photographs: china.jpg and flower.jpg, bundled with scikit-learn (CC BY).

# %%
chapter.report(
    same=same,
    loss_drop=trainers["B"].history["loss"][0] - trainers["B"].history["loss"][-1],
    b=accuracies["B"],
    b_crops=accuracies["B, crops"],
    a_crops=accuracies["A, crops"],
    both_flips=flip_accuracy,
    worst_class=float(per_class.min()),
    **extra,
)
