# %% [markdown]
# # 11. Speed and memory
#
# *Why is it slow?* Most answers that people give to this question are wrong, because they were guessed. This chapter measures: with a clock that
# is used properly, a profile, two ceilings that no program breaks, and the memory of a training step as it comes and goes.
#
# **Afterwards** you can time something without fooling yourself, find out which operation costs the time, tell whether it is limited by
# arithmetic or by memory (and therefore what would help), say where the memory of a training step goes, and keep the processor fed with data.
#
# **Time**: smoke 2 s, default 12 s, full 18 s. **Data**: none (one photograph from scikit-learn as food for the loader).
#
# You need chapter 8 (what a convolution costs) and chapter 10 (GFLOP/s). Numbers are those of *your* machine; run it when nothing else does.

# %%
from __future__ import annotations

import cProfile
import json
import os
import pstats
import subprocess
import sys
import threading
import time

import numpy as np

import minidl
from minidl import nn, optim, teach
from minidl.io.figure import BLUE, GREEN, ORANGE, PURPLE

chapter = teach.Chapter("11_speed", "Speed and memory")
rng = np.random.default_rng(0)
minidl.manual_seed(0)
repeats = chapter.pick(smoke=10, default=100, full=300)

# %% [markdown]
# ## Timing without fooling yourself
#
# One operation, ReLU on sixteen megabytes, timed again and again, each call on its own. While that runs, another thread wakes up now and then and
# works for some milliseconds, as your browser does, or a progress bar. **Predict**: which is larger, the mean or the median? Which call is
# the slowest?


# %%
def timings(run, count):
    """Seconds of each of so many calls."""
    found = []
    for _ in range(count):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return np.array(found)


x = rng.normal(size=(1000, chapter.pick(smoke=200, default=4000, full=4000))).astype(np.float32)
minidl.empty_cache()  # as in a fresh process: no memory to be used again
quiet = timings(lambda: minidl.relu(x), repeats)

finished = threading.Event()


def neighbour():
    """Another program: sleeps, works, sleeps."""
    while not finished.wait(0.003):
        sum(range(60_000))


thread = threading.Thread(target=neighbour)
thread.start()
busy = timings(lambda: minidl.relu(x), repeats)
finished.set()
thread.join()

for name, found in (("alone", quiet), ("with a neighbour", busy)):
    print(f"{name:18} first {found[0] * 1e3:6.2f} ms   mean {found.mean() * 1e3:6.2f} ms   median {np.median(found) * 1e3:6.2f} ms   "
          f"fastest {found.min() * 1e3:6.2f} ms")  # fmt: skip

# %%
figure = chapter.figure(8, 3.4)
axis = figure.subplots()
axis.semilogy(quiet * 1e3, "o", color=BLUE, markersize=4, label="alone")
axis.semilogy(busy * 1e3, "x", color=ORANGE, markersize=5, label="with a neighbour")
axis.axhline(busy.mean() * 1e3, color=ORANGE, linestyle="--", linewidth=1, label="mean, with a neighbour")
axis.axhline(np.median(busy) * 1e3, color=ORANGE, linestyle=":", linewidth=1.5, label="median, with a neighbour")
axis.set(xlabel="number of the call", ylabel="time (ms, logarithmic)")
axis.legend(fontsize=8, ncols=2)
chapter.save(
    figure,
    "timing",
    "The same operation, call after call. The first call pays for fresh memory. A neighbour disturbs some calls: the mean follows "
    "them, the median hardly does.",
)

# %% [markdown]
# Noise only ever makes a call *slower*. So the distribution has a sharp lower edge and a long tail to the right: the mean says something about the tail, that
# is, about your neighbours. **Warm up, repeat, take the median.** (The fastest call is right where you ask for a ceiling, as for the peak in chapter 10.)
#
# ## Find the bug
#
# A student has a new version of ReLU and writes in the report: *"1.5 times as fast as before"*. The output array is made beforehand, so that its
# allocation is not timed, and each version gets three runs:


# %%
numbers = np.ones(10_000_000, np.float32)


def old_version(out):
    np.maximum(numbers, 0, out=out)


def new_version(out):
    np.maximum(numbers, 0, out=out)


claims = []
for _ in range(5):  # the student's whole procedure, five times: the claim is no accident
    out = np.empty_like(numbers)
    before = timings(lambda out=out: old_version(out), 3).mean()
    after = timings(lambda out=out: new_version(out), 3).mean()
    claims.append(before / after)
claimed = float(np.median(claims))
print(
    f"old {before * 1e3:.2f} ms, new {after * 1e3:.2f} ms; five times over: {', '.join(f'{claim:.2f}' for claim in claims)} times as fast"
)

# %% [markdown]
# **The reveal.** Look at the two functions: they are *the same*. The old version ran first, and paid for what happens once. Here it is the output: the system
# hands out memory only when it is touched for the first time, and the old version touched it. It may as well be cold caches, threads that have to be
# started, or a processor that clocks up. Warm up, interleave the two, and take the median of the *ratios*:

# %%
pairs = [
    (timings(lambda: old_version(out), 1)[0], timings(lambda: new_version(out), 1)[0])
    for _ in range(chapter.pick(smoke=5, default=50, full=100))
]
honest = float(np.median([old / new for old, new in pairs]))
print(f"median ratio of {len(pairs)} interleaved pairs: {honest:.2f}")

# %% [markdown]
# Three more ways to fool yourself. *The debug print* (or a progress bar) inside the timed loop. *Another data type*: float64 in one, float32 in the other. And
# on a GPU, *the clock that stops too early*: a call returns before the work is done, and without `minidl.cuda.synchronize()` you time the
# ordering of a meal, not the cooking.
#
# ## A profile: which operation?
#
# LeNet on a batch of 64, forward, backward, Adam. **Guess** the three most expensive operations before you look.


# %%
def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def training_step(model, batch):
    """A function that does one step on random pictures."""
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    pictures, labels = minidl.randn(batch, 1, 28, 28), minidl.randint(0, 10, (batch,))

    def step():
        loss = nn.functional.cross_entropy(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


step = training_step(lenet(), 64)
timings(step, 3)
step_ms = float(np.median(timings(step, repeats))) * 1e3

profile = cProfile.Profile()
profile.enable()
timings(step, repeats)
profile.disable()
spent = {}
for (path, _, function), (_, calls, own, _, _) in pstats.Stats(profile).stats.items():
    where = function if "backends" in path else "everything else: Python, the graph"
    before, count = spent.get(where, (0.0, 0))
    spent[where] = before + own * 1e3 / repeats, count + calls // repeats
spent = dict(sorted(spent.items(), key=lambda entry: -entry[1][0]))
total = sum(own for own, _ in spent.values())
print(f"one step: {step_ms:.2f} ms ({total:.2f} ms under the profiler, which itself costs time)")
for name, (own, calls) in list(spent.items())[:8]:
    print(f"{name:36}{own:7.3f} ms {own / total:6.1%}   {calls:5} calls")

# %%
figure = chapter.figure(7, 3.4)
axis = figure.subplots()
names = list(spent)[:8]
bars = axis.barh(
    names, [spent[name][0] for name in names], color=[PURPLE if "else" in name else BLUE for name in names]
)
axis.bar_label(bars, [f" {spent[name][0] / total:.0%}" for name in names], fontsize=9)
axis.invert_yaxis()
axis.margins(x=0.12)
axis.set(xlabel="own time in one training step (ms)")
chapter.save(
    figure,
    "profile",
    "Where one training step of LeNet (batch 64) spends its time, by primitive, the eight largest. Purple is all of Python: the graph, the "
    "modules, the checks.",
)

# %% [markdown]
# (The profiler stops at every Python function, so it makes Python look dearer than it is: compare the two times above.) Read a
# profile from the top, and ask of each line: *can it be less?* Making a line of 3 % infinitely fast wins 3 %. That is Amdahl's law, and it is the reason to
# measure before one begins.
#
# ## Two ceilings: the roofline
#
# An operation needs $F$ floating-point operations and moves $B$ bytes between processor and memory, at the least. The processor does at most $P$ operations a second,
# the memory at most $W$ bytes a second. So the time is at least
#
# $$ t \;\ge\; \max\!\Big(\frac{F}{P},\; \frac{B}{W}\Big). $$
#
# Which of the two is larger depends on one number, the **arithmetic intensity** $F / B$. Below $P / W$ memory decides, and a better
# algorithm for the arithmetic wins nothing. First measure the two ceilings: bytes a second by moving large arrays, operations by
# a large matrix product. (Ceilings are bests, so here the fastest call counts.)


# %%
def bandwidth(threads, megabytes):
    """GB/s, each byte read and written: the best of copying (one thread an array) and of a ReLU."""
    arrays = [
        (np.ones(megabytes * 250_000, np.float32), np.ones(megabytes * 250_000, np.float32)) for _ in range(threads)
    ]

    def copy_all():
        running = [threading.Thread(target=np.copyto, args=(a, b)) for a, b in arrays]
        for one in running:
            one.start()
        for one in running:
            one.join()

    copied = threads * 2 * megabytes * 1e6 / timings(copy_all, chapter.pick(smoke=2, default=10, full=20)).min()
    touched = (
        2
        * arrays[0][0].nbytes
        / timings(lambda: minidl.relu(arrays[0][0]), chapter.pick(smoke=2, default=20, full=40)).min()
    )
    return max(copied, touched) / 1e9


size = chapter.pick(smoke=128, default=1024, full=1024)
square = rng.normal(size=(size, size)).astype(np.float32)
threads = minidl.get_num_threads()
memory_speed = bandwidth(threads, chapter.pick(smoke=1, default=64, full=64))
peak = (
    2 * size**3 / timings(lambda: minidl.matmul(square, square), chapter.pick(smoke=3, default=30, full=60)).min() / 1e9
)
print(
    f"memory {memory_speed:.1f} GB/s, arithmetic {peak:.1f} GFLOP/s: they meet at {peak / memory_speed:.1f} operations a byte"
)

# %% [markdown]
# **Exercise 11.1** Count a convolution: operations (a multiplication and an addition are two) and bytes (float32: read the input and the weights
# once, write the output once).


# %%
def cost_of_convolution(batch, channels, size, outputs, kernel, stride, padding):
    """Return (operations, bytes); the input is (batch, channels, size, size)."""
    raise NotImplementedError("exercise 11.1: write me")


teach.check("11.1", cost_of_convolution)

# %% [markdown]
# **Exercise 11.2** The shortest time that the two ceilings allow, in milliseconds, from operations, bytes, GFLOP/s and GB/s.


# %%
def least_time(operations, bytes_moved, gflops, gigabytes):
    raise NotImplementedError("exercise 11.2: write me")


teach.check("11.2", least_time)

# %% [markdown]
# Now some operations of a network, each with its count. **Predict** on which side of the edge each one lies: ReLU, a sum of two arrays, softmax, a convolution of
# 64 channels, a matrix product, and a product of a matrix with *one* vector.

# %%
rows = chapter.pick(smoke=50, default=8000, full=8000)
large, other = (rng.normal(size=(rows, 2000)).astype(np.float32) for _ in range(2))
channels, pixels = 64, chapter.pick(smoke=8, default=56, full=56)
picture = rng.normal(size=(8, channels, pixels, pixels)).astype(np.float32)
weight = rng.normal(size=(channels, channels, 3, 3)).astype(np.float32)
vector = rng.normal(size=(2000, 1)).astype(np.float32)
count = large.size
work = {  # (what to run, operations, bytes)
    "ReLU": (lambda: minidl.relu(large), count, 8 * count),
    "sum of two": (lambda: minidl.add(large, other), count, 12 * count),
    "softmax": (lambda: minidl.softmax(large, 1), 5 * count, 8 * count),
    "matrix · vector": (lambda: minidl.matmul(large, vector), 2 * count, 4 * count),
    "convolution": (
        lambda: minidl.conv2d(picture, weight, padding=1),
        2 * 8 * channels**2 * 9 * pixels**2,
        4 * (2 * picture.size + weight.size),
    ),
    "matrix · matrix": (lambda: minidl.matmul(square, square), 2 * size**3, 12 * size**2),
}
points = {}
for name, (run, operations, moved) in work.items():
    timings(run, 2)
    seconds = float(np.median(timings(run, chapter.pick(smoke=2, default=15, full=30))))
    points[name] = operations / moved, operations / seconds / 1e9
    bound = max(operations / peak, moved / memory_speed) / 1e9
    print(
        f"{name:16} intensity {points[name][0]:7.2f} op/byte {points[name][1]:8.2f} GFLOP/s, {bound / seconds:5.0%} of its roof"
    )

# %%
figure = chapter.figure(7, 4.4)
axis = figure.subplots()
reach = np.geomspace(0.03, 3000, 100)
axis.loglog(reach, np.minimum(peak, reach * memory_speed), color="black", linewidth=1.2)
axis.text(0.8, memory_speed, f"memory: {memory_speed:.0f} GB/s", fontsize=9, ha="right")
axis.text(2500, peak * 1.15, f"arithmetic: {peak:.0f} GFLOP/s", fontsize=9, ha="right")
for (name, (intensity, speed)), marker in zip(points.items(), "osDv^P", strict=True):
    axis.plot(intensity, speed, marker, color=BLUE if intensity < peak / memory_speed else ORANGE, markersize=8)
    left = name == "convolution"  # it lies next to the product
    axis.annotate(
        name,
        (intensity, speed),
        xytext=(-8 if left else 8, -10),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=9,
    )
axis.set(
    xlabel="arithmetic intensity (operations per byte)", ylabel="GFLOP/s", xlim=(0.03, 3000), ylim=(None, peak * 3)
)
chapter.save(
    figure,
    "roofline",
    "The roof: what memory (left, rising) and arithmetic (right, flat) allow at most. Blue operations are limited by memory, orange ones by "
    "arithmetic. A point far below the roof leaves something to win.",
)

# %% [markdown]
# ReLU and the matrix product differ by a factor of thirty or more in GFLOP/s, and both may be as fast as they can be. For everything on the left, only one thing helps: *move fewer
# bytes*. Fuse ReLU with what comes before it, keep float32 (or float16), do not make copies. That is why minidl adds the bias inside the product and does a whole Adam
# step in one pass.
#
# ## Threads
#
# **Predict**: which of these gets twice as fast with two threads, and which does not?

# %%
tiny = minidl.randn(4, 4)
candidates = {
    "convolution, 64 channels": lambda: minidl.conv2d(picture, weight, padding=1),
    "ReLU, 16 million numbers": lambda: minidl.relu(large),
    "training step, LeNet": step,
    "product of 4 × 4": lambda: minidl.matmul(tiny, tiny),
}
speedups = {}
for name, run in candidates.items():
    by_threads = []
    for count in (1, threads):
        minidl.set_num_threads(count)
        timings(run, 2)
        by_threads.append(float(np.median(timings(run, chapter.pick(smoke=2, default=15, full=30)))))
    speedups[name] = by_threads[0] / by_threads[1]
    print(
        f"{name:28}{by_threads[0] * 1e3:9.3f} ms on one thread {by_threads[1] * 1e3:9.3f} ms on {threads}: {speedups[name]:.2f} times"
    )
minidl.set_num_threads(threads)

# %% [markdown]
# The convolution nearly doubles: its data fit the caches, each core has its own arithmetic. ReLU shares *one* memory with everybody. The training step has serial parts, and small
# operations for which no second thread is woken. And the result is the same to the last bit, on any number of threads.
#
# ## What an operation costs when it does nothing
#
# Between you and the arithmetic stand Python, the checks, and the graph. Multiply two arrays of $n$ numbers, forward and backward:

# %%
lengths = [1, 10, 100, 1000, 10_000, 100_000] + chapter.pick(smoke=[], default=[1_000_000], full=[1_000_000, 4_000_000])
costs = {"NumPy": [], "minidl, recorded": [], "minidl, with backward": []}
for length in lengths:
    a = minidl.randn(length).requires_grad_()
    b, ones = minidl.randn(length), minidl.ones(length)
    raw_a, raw_b = a.detach().numpy(), b.numpy()

    def there_and_back(a=a, b=b, ones=ones):
        a.grad = None
        (a * b).backward(ones)

    ways = (lambda a=raw_a, b=raw_b: a * b, lambda a=a, b=b: a * b, there_and_back)
    for cost, run in zip(costs.values(), ways, strict=True):
        cost.append(float(np.median(timings(run, max(3, min(300, 300_000 // length))))) * 1e6)
overhead = {name: cost[0] for name, cost in costs.items()}
for name, cost in overhead.items():
    print(f"{name:24}{cost:6.2f} µs for a single number, {costs[name][-1]:9.1f} µs for {lengths[-1]:,}")

# %%
figure = chapter.figure(7, 3.8)
axis = figure.subplots()
for (name, cost), colour, marker in zip(costs.items(), (GREEN, BLUE, ORANGE), "osD", strict=True):
    axis.loglog(lengths, cost, marker + "-", color=colour, label=name)
axis.set(xlabel="numbers in each array", ylabel="time of one call (µs)")
axis.legend()
chapter.save(
    figure,
    "overhead",
    "Multiplying two arrays. Up to about a thousand numbers the time does not depend on the size: it is overhead. Beyond, the arithmetic "
    "(or rather, the memory) takes over.",
)

# %% [markdown]
# Flat, then rising: up to a thousand numbers you pay for the *call*. So make few large operations rather than many small ones; a Python loop over the rows of a batch
# is the most expensive line that a beginner writes.
#
# ## The memory of a step
#
# Backward needs what forward computed, so it is kept. `minidl.memory_stats()["live"]` says how much memory arrays hold at this moment. We ask after every
# layer on the way there, and (with a hook on each activation) on the way back. **Sketch the curve** before you look. Where is the peak?


# %%
def live():
    return minidl.memory_stats()["live"] / 1e6


model, batch = lenet(), chapter.pick(smoke=32, default=256, full=1024)
pictures, labels = minidl.randn(batch, 1, 28, 28), minidl.randint(0, 10, (batch,))
step_labels, megabytes = ["start"], [live()]


def note(label):
    step_labels.append(label)
    megabytes.append(live())


def remember(label):
    return lambda gradient: note(label)


h = pictures
for layer in model:
    h = layer(h)
    note(type(layer).__name__)
    h.register_hook(remember(type(layer).__name__))
forward_end = len(megabytes)
loss = nn.functional.cross_entropy(h, labels)
del h
loss.backward()
note("end")
base, peak_mb, after_mb = megabytes[0], max(megabytes), megabytes[-1]
with minidl.no_grad():
    h, without_graph = pictures, [live()]
    for layer in model:
        h = layer(h)
        without_graph.append(live())
del h
print(
    f"before {base:.2f} MB, at the peak {peak_mb:.2f} MB, after backward {after_mb:.2f} MB (gradients of the weights stay)"
)
print(f"the same forward under no_grad: at most {max(without_graph):.2f} MB")

# %%
figure = chapter.figure(9, 3.8)
axis = figure.subplots()
axis.plot(megabytes, "o-", color=BLUE, label="training: forward, then backward")
axis.plot(without_graph, "s--", color=GREEN, label="under no_grad")
axis.axvspan(forward_end - 0.5, len(megabytes) - 0.5, color="#eeeeee")
axis.text(forward_end, 0.03 * peak_mb, "backward", fontsize=9)
axis.set(
    ylabel="memory held by arrays (MB)",
    xlabel="after this layer (left), with the gradient of its output known (right)",
    ylim=(0, None),
)
axis.set_xticks(range(len(step_labels)), step_labels, rotation=60, fontsize=7, ha="right")
axis.legend(fontsize=8, loc="center")
chapter.save(
    figure,
    "memory",
    f"Memory over one training step of LeNet (batch {batch}). Activations pile up on the way there and are let go on the way back, each as soon as "
    "its gradient is done. Without a graph only two layers live at a time.",
)

# %% [markdown]
# The peak lies at the turning point. So training memory grows with *depth × batch*, and that is why evaluation belongs under `no_grad`. (Very deep
# networks forget some activations on purpose and compute them again: *checkpointing*, time against memory.)
#
# **Exercise 11.3** A trace of a program: positive numbers are bytes taken, negative ones bytes given back. How much memory must the machine have at least?


# %%
def peak_of_trace(changes):
    raise NotImplementedError("exercise 11.3: write me")


teach.check("11.3", peak_of_trace)

# %% [markdown]
# ### Fresh memory is slow
#
# Memory that the system has just handed out is not really there: each page (4 KiB) is mapped and cleared when it is first touched, a *page fault*. minidl keeps the memory of large
# results in a pool and hands it out again. Switch that off and count the faults:


# %%
def page_faults():
    """Of this process so far; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


fault_times = {}
for name, limit in (("without the pool", 0), ("with the pool", 2**30)):
    minidl.set_memory_limit(limit)
    minidl.empty_cache()
    minidl.relu(large)
    first = page_faults()
    calls = chapter.pick(smoke=3, default=20, full=50)
    fault_times[name] = float(np.median(timings(lambda: minidl.relu(large), calls)))
    faults = "unknown" if first is None else f"{(page_faults() - first) / calls:8.0f}"
    print(
        f"ReLU on {large.nbytes / 1e6:.0f} MB {name:17}: {fault_times[name] * 1e3:7.2f} ms, {faults} page faults a call"
    )
pool_speedup = fault_times["without the pool"] / fault_times["with the pool"]

# %% [markdown]
# The same arithmetic. One fault for each 4 KiB (or fewer, where the system uses huge pages), and together they cost about as much as the operation.
#
# ## Feeding it
#
# A network that trains in 3 ms is no use when the next batch takes 30. Reading, decoding and augmenting pictures is Python work for *one* item at a time. Two cures:
# **workers**, other processes that build batches, and **prefetching**, so that they build the next ones while the network computes. In the best case the time of an
# epoch is no longer data *plus* network but the larger of the two.
#
# Workers are fresh Python processes that import your script again. So a script with workers needs the famous guard, and here is one, complete, which we start as a
# program of its own:

# %%
SCRIPT = '''
import io, json, sys, time
from importlib.util import find_spec
from pathlib import Path
import numpy as np
from PIL import Image
import minidl
from minidl.data import DataLoader


class Photographs:
    """Items are cut from a JPEG file that is decoded each time, as a folder of photographs would be."""

    def __init__(self, count):
        self.count = count
        self.file = Path(find_spec("sklearn").submodule_search_locations[0], "datasets", "images", "china.jpg").read_bytes()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        picture = Image.open(io.BytesIO(self.file)).resize((64, 64))
        return np.asarray(picture, np.float32).transpose(2, 0, 1) / 255, index % 10


def epoch(workers, count, computing):
    """Seconds for an epoch in which the network computes so long on each batch."""
    loader = DataLoader(Photographs(count), batch_size=8, num_workers=workers, persistent_workers=workers > 0)
    for _ in range(2 if workers else 1):      # the first epoch starts the workers
        started = time.perf_counter()
        for pictures, labels in loader:
            until = time.perf_counter() + computing
            while computing and time.perf_counter() < until:
                time.sleep(computing / 10)    # a stand-in for the network: it needs time, and none of this core
        seconds = time.perf_counter() - started
    return seconds


if __name__ == "__main__":                    # workers import this file: without the guard each would start workers, too
    count, most = int(sys.argv[1]), int(sys.argv[2])
    alone = epoch(0, count, 0)
    computing = alone / (count // 8)          # as long as the data take
    print(json.dumps([alone, *(epoch(workers, count, computing) for workers in range(most + 1))]))
'''

loading = []
if chapter.mode == "smoke":
    print("(smoke: the loading script is not started; starting its workers takes seconds)")
else:
    chapter.folder.mkdir(parents=True, exist_ok=True)
    (chapter.folder / "loading.py").write_text(SCRIPT)
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    command = [
        sys.executable,
        str(chapter.folder / "loading.py"),
        str(chapter.pick(smoke=0, default=128, full=256)),
        "2",
    ]
    loading = json.loads(subprocess.run(command, capture_output=True, text=True, env=where, check=True).stdout)
    print(f"data alone, in this process    {loading[0]:6.2f} s")
    for workers, seconds in enumerate(loading[1:]):
        print(f"data and network, {workers} workers    {seconds:6.2f} s")

# %% [markdown]
# With no worker the two times add up. With one, they overlap, and the network hardly waits any more. More workers help only as far as there are cores: on two cores the second
# one takes time away from the network. Loading can also be *less work*: decode once and keep the arrays (`TensorDataset`), which is what our digits do.
#
# ## CPU against GPU

# %%
if minidl.cuda.is_available():
    for side in (256, 1024, 4096):
        a = minidl.randn(side, side)
        b = a.to("cuda")

        def on_gpu(b=b):
            minidl.matmul(b, b)
            minidl.cuda.synchronize()  # or the clock stops before the work does

        timings(on_gpu, 3)
        slow, fast = np.median(timings(lambda a=a: minidl.matmul(a, a), 5)), np.median(timings(on_gpu, 20))
        print(
            f"product of {side} × {side}: CPU {slow * 1e3:8.3f} ms, GPU {fast * 1e3:8.3f} ms: {slow / fast:.1f} times"
        )
else:
    print(
        "No GPU here. A launch costs some 10 µs, so tiny operations are slower there; a large product is a hundred times as fast."
    )

# %% [markdown]
# ## What to remember
#
# - Warm up, repeat, interleave, take the median. Noise only adds.
# - Profile first. Nobody guesses right.
# - Intensity decides: on the left of the roofline's edge save bytes, on its right save operations.
# - Threads multiply arithmetic, not memory; overhead is paid per call, so make calls large.
# - Activations are the memory of training; the peak is at the turning point; `no_grad` has none of it.
# - Fresh memory is slow, used memory is fast.
# - Overlap the data with the computation.
#
# **Read on.** S. Williams, A. Waterman, D. Patterson, *Roofline* (CACM 2009). G. Amdahl (AFIPS 1967). `benchmarks/` in this repository compares minidl with PyTorch,
# interleaved and with medians of ratios. U. Drepper, *What every programmer should know about memory* (2007). T. Chen et al., *Training deep nets with sublinear
# memory cost* (2016), for checkpointing.

# %%
chapter.report(
    claimed_speedup=claimed,
    honest_speedup=honest,
    step_ms=step_ms,
    profiled_primitives=len(spent) - 1,
    peak_gflops=peak,
    memory_gb_per_s=memory_speed,
    intensity_ratio=points["matrix · matrix"][0] / points["ReLU"][0],
    thread_speedup=speedups["convolution, 64 channels"],
    overhead_us=overhead["minidl, recorded"],
    flatness=costs["minidl, recorded"][1] / costs["minidl, recorded"][0],
    growth=costs["minidl, recorded"][-1] / costs["minidl, recorded"][0],
    peak_over_no_grad=(peak_mb - base) / max(max(without_graph) - without_graph[0], 1e-9),
    after_over_peak=(after_mb - base) / (peak_mb - base) if peak_mb > base else 0.0,
    pool_speedup=pool_speedup,
    overlap=loading[1] / min(loading[2:]) if loading else 0.0,
)
