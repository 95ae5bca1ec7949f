# %% [markdown]
# # 8. Convolution three ways
#
# **Time**: smoke 2 s, default 7 s, full 17 s. **Data**: a photograph (bundled with scikit-learn).
#
# A convolution is a small window that slides over a picture and takes an inner product at every place. That sentence is all
# of it; this chapter takes it apart until nothing is hidden. Afterwards you can
#
# - compute one by hand, and tell the size of what comes out before you run it;
# - write it three ways: as **loops**, as one matrix product (**im2col**), and by a **table of offsets**, the way minidl's own
#   kernel does it (`minidl/_kernels/sweep.pyx`);
# - derive both of its gradients from one idea, the *adjoint*, and test them with a single line;
# - say what a kernel "sees", and why what everyone calls convolution is a correlation.
#
# You need chapters 1 and 2 (gradients and how to check them) and NumPy.

# %%
from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

import minidl
from minidl import teach, viz
from minidl.io.figure import BLUE, GREEN, ORANGE, diverging

chapter = teach.Chapter("08_convolution", "Convolution three ways")
rng = np.random.default_rng(0)

# %% [markdown]
# ## By hand
#
# A picture of 4 × 5 pixels, dark on the left and bright on the right, and a kernel of 2 × 2 numbers:

# %%
picture = np.array([[0, 0, 9, 9, 9]] * 4, dtype=float)
kernel = np.array([[-1, 1], [-1, 1]], dtype=float)
print(picture)
print(kernel)

# %% [markdown]
# Lay the kernel on the picture, multiply what lies on top of each other, add up: that is one number of the result. Then move
# one pixel on. With the kernel in the top left corner: $-1·0 + 1·0 - 1·0 + 1·0 = 0$.
#
# **Predict** the other numbers before you run the next cell. How many are there, and where are they not zero?

# %%
result = np.zeros((3, 4))
for p in range(3):
    for q in range(4):
        window = picture[p : p + 2, q : q + 2]
        result[p, q] = (window * kernel).sum()
print(result)

# %% [markdown]
# 3 × 4 numbers: a kernel of 2 fits into 5 columns at 4 places. And it answers 18 exactly where dark turns to bright. The
# kernel is *a detector of vertical edges*: a network learns such numbers by itself, and this chapter is about everything
# else.
#
# ## With channels, many kernels, and three options
#
# A colour picture has three numbers at each pixel, and a layer looks for many things at once. So the picture is
# $x_{c,h,w}$ (channels first), the kernels $w_{o,c,i,j}$, one block of numbers for each output $o$; the sum runs over the
# channels, too:
#
# $$ y_{o,p,q} \;=\; \sum_{c,\,i,\,j} w_{o,c,i,j}\; \bar x_{c,\;\; p\,s + i\,d,\;\; q\,s + j\,d} $$
#
# - $\bar x$ is $x$ with `padding` zeros around it, so that the kernel may hang over the edge;
# - $s$, the `stride`, is how far the window moves from one output to the next;
# - $d$, the `dilation`, is how far the kernel's pixels lie apart.
#
# The formula as loops, word for word. This is the first of the three ways, and the one that the others are measured by:


# %%
def convolve_loops(x, w, stride=1, padding=0, dilation=1):
    """y[o, p, q] = Σ w[o, c, i, j] · x̄[c, p·s + i·d, q·s + j·d]; x is (C, H, W), w is (O, C, KH, KW)."""
    outputs, channels, kh, kw = w.shape
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    oh = (x.shape[1] - dilation * (kh - 1) - 1) // stride + 1
    ow = (x.shape[2] - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((outputs, oh, ow))
    for o in range(outputs):
        for p in range(oh):
            for q in range(ow):
                for c in range(channels):
                    for i in range(kh):
                        for j in range(kw):
                            y[o, p, q] += w[o, c, i, j] * x[c, p * stride + i * dilation, q * stride + j * dilation]
    return y


x, w = rng.normal(size=(3, 9, 8)), rng.normal(size=(4, 3, 3, 3))
for options in ({}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2}):
    ours, theirs = convolve_loops(x, w, **options), minidl.conv2d(x, w, **options)
    print(f"{options!s:28} output {ours.shape}, largest difference from minidl.conv2d {abs(ours - theirs).max():.1e}")

# %% [markdown]
# ## How large is the output?
#
# The window's first pixel may stand at $0, s, 2s, \dots$ as long as its last one, $d\,(K-1)$ further on, is still inside the
# $H + 2·\text{padding}$ pixels that there are. Count the places:
#
# $$ O = \left\lfloor \frac{H + 2\,\text{padding} - d\,(K-1) - 1}{s} \right\rfloor + 1 $$
#
# Three cases are worth knowing by heart: $K=3$, padding 1 keeps the size; $K=5$ without padding loses 4; and stride 2 halves
# it. What happens to a pixel that does not fit any more? *Nothing*: the floor drops it, silently.
#
# In the picture below, one row of 11 pixels. **Predict**, for each line, which pixels the second output sees.


# %%
def draw_windows(axis, length, size, stride, padding, dilation):
    """The pixels of a row, the padding in white; above them, line by line, what each output sees."""
    for position in range(-padding, length + padding):
        inside = 0 <= position < length
        axis.text(
            position,
            0,
            str(position) if inside else "0",
            ha="center",
            va="center",
            fontsize=8,
            bbox={"boxstyle": "square,pad=0.5", "facecolor": "#dddddd" if inside else "white", "edgecolor": "grey"},
        )
    reach = dilation * (size - 1)
    count = (length + 2 * padding - reach - 1) // stride + 1
    levels = reach // stride + 2
    for output in range(count):
        taps = output * stride - padding + dilation * np.arange(size)
        height = 0.8 + 1.8 * (output % levels) / levels
        axis.plot(taps, [height] * size, "o-", color=ORANGE if output == 1 else BLUE, markersize=4, linewidth=1)
    axis.set(xlim=(-2, length + 1), ylim=(-0.6, 2.6), yticks=[], xticks=[])
    axis.set_title(
        f"kernel {size}, stride {stride}, padding {padding}, dilation {dilation}: {count} outputs",
        loc="left",
        fontsize=9,
    )


figure = chapter.figure(7, 5)
axes = figure.subplots(3, 1)
for axis, options in zip(axes, [(3, 2, 0, 1), (3, 1, 0, 2), (4, 3, 1, 1)], strict=True):
    draw_windows(axis, 11, *options)
axes[-1].set_xlabel("position in the row (pixels)")
chapter.save(
    figure,
    "windows",
    "Every line of dots is what one output sees; the second output is orange. White squares are padding: "
    "zeros that are not in the picture.",
)

# %% [markdown]
# **Exercise 8.1** Write the formula as a function, for one axis.


# %%
def output_size(size, kernel, stride, padding, dilation):
    raise NotImplementedError("exercise 08.1: write me")


teach.check("08.1", output_size)

# %% [markdown]
# ## Convolution or correlation?
#
# In signal processing, and in NumPy, a convolution turns the kernel round before it slides:
# $(x * k)_q = \sum_j k_j\, x_{q-j}$, the index runs *backwards*. What we computed, with $x_{q+j}$, is a
# **correlation**. Hold the two against each other, with a picture that is a single bright pixel:

# %%
impulse = np.array([0, 0, 1.0, 0, 0])
k = np.array([1.0, 2, 3])
print("np.convolve   ", np.convolve(impulse, k, mode="valid"))
print("np.correlate  ", np.correlate(impulse, k, mode="valid"))
print("minidl.conv1d ", minidl.conv1d(impulse[None], k[None, None])[0])

# %% [markdown]
# A true convolution stamps the kernel on every bright pixel as it is; a correlation stamps it *upside down* (first pixel
# last). Why do all deep-learning libraries take the correlation and call it convolution? Because the kernel is learned: a
# network that needs the flipped one simply learns the flipped one. But remember the flip. It comes back below, in the
# gradient, and there it is no matter of taste.
#
# ## What kernels see
#
# A real photograph, in grey. (`china.jpg` comes with scikit-learn. We open the file ourselves: importing all of scikit-learn for
# it would take longer than the rest of the chapter.)

# %%
photographs = Path(find_spec("sklearn").submodule_search_locations[0], "datasets", "images")
photo = np.asarray(Image.open(photographs / "china.jpg").convert("L"), dtype=float) / 255
every = chapter.pick(smoke=4, default=1, full=1)
photo = photo[20:320:every, 150:550:every]

smooth = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256  # nearly a Gaussian bell
kernels = {
    "blur": smooth,
    "vertical edges (Sobel)": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "horizontal edges (Sobel)": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
    "dots and corners (Laplace)": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
}

# %% [markdown]
# Two things can be read off a kernel without any picture. **Its sum** is what it answers on a plain surface: 1 keeps the
# brightness, 0 answers only to change. **Its picture** is what it likes best: of all patches of the same
# length, the one that looks like the kernel itself gives the largest inner product.

# %%
for name, numbers in kernels.items():
    print(f"{name:28} sum {numbers.sum():+.2f}   on a plain grey wall of 0.5 it answers {0.5 * numbers.sum():+.2f}")

# %%
figure = chapter.figure(9, 5.2)
axes = figure.subplots(2, 3).ravel()
grey = axes[0].imshow(photo, cmap="gray", vmin=0, vmax=1)
axes[0].set_title("the photograph", fontsize=10)
for axis, (name, numbers) in zip(axes[1:], kernels.items(), strict=True):
    seen = minidl.conv2d(photo[None], numbers[None, None].astype(float), padding=numbers.shape[0] // 2)[0]
    if numbers.sum() > 0.5:
        axis.imshow(seen, cmap="gray", vmin=0, vmax=1)
    else:
        change = axis.imshow(seen, cmap=diverging(), vmin=-0.4, vmax=0.4)
    axis.set_title(name, fontsize=10)
    inset = axis.inset_axes((0.02, 0.02, 0.2, 0.26))
    inset.imshow(numbers, cmap=diverging(), vmin=-abs(numbers).max(), vmax=abs(numbers).max())
    inset.set(xticks=[], yticks=[])
for axis in axes:
    axis.set(xticks=[], yticks=[])
axes[0].set(xlabel=f"{photo.shape[1]} pixels", ylabel=f"{photo.shape[0]} pixels")
figure.colorbar(change, ax=axes[2], label="answer (brightness)")
figure.colorbar(grey, ax=axes[5], label="brightness (1 = white)")
chapter.save(
    figure,
    "kernels",
    "One photograph through five kernels (bottom left of each panel; orange positive, blue negative). "
    "Kernels whose sum is 1 keep the brightness (grey); those whose sum is 0 are blind to plain surfaces (white) and answer to change.",
)

# %% [markdown]
# ## The second way: im2col
#
# Six nested loops are the slowest program that one can write in Python. But look at the formula again: for a fixed output pixel,
# it is an inner product of two vectors of $C·KH·KW$ numbers. For *all* output pixels it is a matrix product, if somebody
# writes the patches next to each other. That is **im2col**: column $(p, q)$ of the matrix is the patch that output pixel sees.
#
# $$ \underbrace{Y}_{O \times OH·OW} = \underbrace{W}_{O \times C·KH·KW} \; \underbrace{X_\text{col}}_{C·KH·KW \times OH·OW} $$
#
# **Exercise 8.2** Write im2col for stride 1 and no padding: `x` of shape (C, H, W) to a matrix (C·KH·KW, OH·OW). Row
# $(c, i, j)$, in that order, holds what the kernel's pixel $(c, i, j)$ lies on for every output. Two loops over $i$ and $j$
# and a slice are enough.


# %%
def im2col(x, kh, kw):
    raise NotImplementedError("exercise 08.2: write me")


teach.check("08.2", im2col)

# %% [markdown]
# NumPy can make the patches without a copy, as a *view* with clever strides. Only the `reshape` has to copy, and it does, because no
# strides can describe the matrix:


# %%
def convolve_im2col(x, w):
    outputs, channels, kh, kw = w.shape
    patches = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(1, 2))  # (C, OH, OW, KH, KW), no copy
    oh, ow = patches.shape[1:3]
    columns = patches.transpose(0, 3, 4, 1, 2).reshape(channels * kh * kw, oh * ow)  # the copy
    return (w.reshape(outputs, -1) @ columns).reshape(outputs, oh, ow)


print(f"largest difference from the loops: {abs(convolve_im2col(x, w) - convolve_loops(x, w)).max():.1e}")

# %% [markdown]
# The price: every pixel is written down once for each kernel pixel that passes over it. **Predict** for a 3 × 3 kernel how much
# larger than the picture the matrix is.

# %%
channels, size = 64, 56
columns_mb = channels * 9 * (size - 2) ** 2 * 4 / 1e6
print(f"picture  {channels} × {size} × {size}: {channels * size**2 * 4 / 1e6:5.2f} MB in float32")
print(
    f"im2col matrix for 3 × 3:  {columns_mb:5.2f} MB: {columns_mb / (channels * size**2 * 4 / 1e6):.1f} times as much"
)

# %% [markdown]
# Nearly nine times. It is written once, read once, and thrown away; and memory is slower than arithmetic (chapter 11).
#
# ## The third way: a table of offsets
#
# Does the matrix have to exist? Pad the picture with zeros, and put the rows of this plane one after the other, as they lie in
# memory. Let $PW$ be the width of the plane. Give the output pixel $(p, q)$ the number $n = p·PW + q$, its
# own place in the plane. Then the kernel's pixel $(i, j)$ lies, for output $n$, on plane element
#
# $$ (p + i)·PW + (q + j) \;=\; \underbrace{i·PW + j}_{\text{off}[i, j]} + \; n $$
#
# The two separate! For each kernel pixel there is **one number**, and row $k$ of the im2col matrix is nothing but the plane
# itself, read from $\text{off}[k]$ on. With channels, and planes of $PH · PW$ numbers:
#
# $$ \text{off}[c, i, j] = (c·PH + i)·PW + j $$
#
# So im2col shrinks from millions of numbers to a table of $C·KH·KW$ of them. Here it is, for a picture of 4 × 5 with padding 1 and a 3 × 3
# kernel:

# %%
small = np.arange(1, 21, dtype=float).reshape(1, 4, 5)  # pixels 1 … 20, so that one can tell them apart
plane = np.pad(small, [(0, 0), (1, 1), (1, 1)])
_, ph, pw = plane.shape
offsets = np.array([[i * pw + j for j in range(3)] for i in range(3)])
print(f"plane: {ph} × {pw}, as it lies in memory: {plane.ravel()[:16].astype(int)} …")
print(f"table of offsets:\n{offsets}")

# %%
figure = chapter.figure(9, 4.4)
left, right = figure.subplots(1, 2, width_ratios=[1, 1.3])
chosen = 1 * pw + 2  # output pixel (1, 2)
flat = plane.ravel()
places = np.arange(flat.size).reshape(ph, pw)


def draw_numbers(axis, kinds, numbers, **options):
    """A table of numbers on coloured ground."""
    palette = np.array([[255, 255, 255], [228, 228, 228], [240, 178, 122]], np.uint8)
    axis.imshow(palette[kinds], aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        axis.text(
            column,
            row,
            f"{number:.0f}",
            ha="center",
            va="center",
            color="#999999" if kinds[row, column] == 0 else "black",
            **options,
        )


draw_numbers(left, np.where(np.isin(places - chosen, offsets), 2, plane[0] > 0), plane[0], fontsize=11)
for (row, column), place in np.ndenumerate(places):
    left.text(column + 0.44, row + 0.44, str(place), ha="right", va="bottom", fontsize=6, color="#555555")
left.set(
    xlabel="column of the plane", ylabel="row of the plane", title=f"output n = {chosen} sees plane[off + {chosen}]"
)
rows = np.stack([flat[off : off + 10] for off in offsets.ravel()])
n = np.arange(10)
draw_numbers(right, np.broadcast_to(np.where(n == chosen, 2, n % pw < 5), rows.shape), rows, fontsize=9)
right.set(
    xlabel="n, number of the output pixel",
    ylabel="off[k]",
    xticks=n,
    yticks=range(9),
    yticklabels=[str(off) for off in offsets.ravel()],
    title="row k of im2col = the plane, read from off[k] on",
)
chapter.save(
    figure,
    "offsets",
    "Left: the padded plane (small: place in memory). Orange: the nine pixels that output n = 9 sees, at off + 9. "
    "Right: the im2col matrix that is never written: every row is the same plane, read from another start. White columns are "
    "computed and thrown away.",
)

# %% [markdown]
# The white columns are the price this time: $n$ also counts the $PW - OW$ places at the end of each row, where the
# window would wrap round to the next row. They are computed and not stored: for a 3 × 3 kernel two columns a row, a few
# per cent, instead of nine times the memory.
#
# As a program. The loop runs over kernel pixels; each pass is one long multiply-and-add over neighbouring numbers, the thing
# that processors do best:


# %%
def offset_table(channels, ph, pw, kh, kw):
    return [(c * ph + i) * pw + j for c in range(channels) for i in range(kh) for j in range(kw)]


def convolve_offsets(x, w, padding=0):
    outputs, channels, kh, kw = w.shape
    plane = np.pad(x, [(0, 0), (padding, padding), (padding, padding)])
    _, ph, pw = plane.shape
    oh, ow = ph - kh + 1, pw - kw + 1
    count = (oh - 1) * pw + ow  # output numbers n = 0 … count - 1
    flat = plane.ravel()
    y = np.zeros((outputs, oh * pw))
    for k, off in enumerate(offset_table(channels, ph, pw, kh, kw)):
        y[:, :count] += np.outer(w.reshape(outputs, -1)[:, k], flat[off : off + count])
    return y.reshape(outputs, oh, pw)[:, :, :ow]  # the columns ow … pw are not stored


print(
    f"largest difference from the loops: {abs(convolve_offsets(x, w, 1) - convolve_loops(x, w, padding=1)).max():.1e}"
)

# %% [markdown]
# Nothing else happens in `minidl/_kernels/sweep.pyx`; open it, its first comment shows this very table. It computes many
# outputs at once, so that every number of the plane that was loaded is used several times before it is let go, and never makes a
# temporary. And the options? They change the numbers of the table, not the kernel:
#
# **Exercise 8.3** Write the offset table for a dilated convolution. (The stride is harder: neighbouring outputs then lie $s$ pixels
# apart. The kernel splits the plane into $s × s$ planes in which they are neighbours again.)


# %%
def dilated_offsets(channels, ph, pw, kh, kw, dilation):
    raise NotImplementedError("exercise 08.3: write me")


teach.check("08.3", dilated_offsets)

# %% [markdown]
# ## A race
#
# The same convolution, four ways, on a picture that is small enough for the loops. All four give the same numbers; what differs
# is how they go through memory. **Guess** the factors first: how much faster is im2col than the loops? And minidl?
#
# (Each is run a few times and the *median* taken. Chapter 11 says why not the mean.)


# %%
def median_time(run, repeats):
    run()  # the first call pays for things that are not the arithmetic
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


race_size = chapter.pick(smoke=10, default=32, full=48)
race_channels = chapter.pick(smoke=4, default=16, full=16)
race_x = rng.normal(size=(race_channels, race_size, race_size))
race_w = rng.normal(size=(race_channels, race_channels, 3, 3))
flops = 2 * race_w.size * (race_size - 2) ** 2
batch_x = race_x[None]
ways = {
    "loops": (lambda: convolve_loops(race_x, race_w), chapter.pick(smoke=1, default=1, full=3)),
    "im2col": (lambda: convolve_im2col(race_x, race_w), chapter.pick(smoke=5, default=50, full=100)),
    "offset table in NumPy": (lambda: convolve_offsets(race_x, race_w), chapter.pick(smoke=5, default=50, full=100)),
    "minidl.conv2d": (lambda: minidl.conv2d(batch_x, race_w)[0], chapter.pick(smoke=5, default=50, full=100)),
}
seconds, worst = {}, 0.0
expected = convolve_loops(race_x, race_w)
for name, (run, repeats) in ways.items():
    worst = max(worst, abs(run() - expected).max())
    seconds[name] = median_time(run, repeats)
for name, duration in seconds.items():
    print(
        f"{name:22} {duration * 1e3:10.3f} ms   {seconds['loops'] / duration:8.0f} times the loops   {flops / duration / 1e9:7.3f} GFLOP/s"
    )

# %%
figure = chapter.figure(7, 3)
axis = figure.subplots()
bars = axis.barh(list(seconds), [duration * 1e3 for duration in seconds.values()], color=[BLUE, GREEN, GREEN, ORANGE])
axis.bar_label(bars, [f" {seconds['loops'] / duration:,.0f}×" for duration in seconds.values()])
axis.set(xscale="log", xlabel="time of one convolution (ms, logarithmic)")
axis.invert_yaxis()
axis.margins(x=0.15)
chapter.save(
    figure,
    "race",
    f"One convolution ({race_channels} to {race_channels} channels, 3 × 3, {race_size} × {race_size} pixels, float64) four ways, the median of "
    "several runs; the label says how many times as fast as the loops. All give the same numbers.",
)

# %% [markdown]
# Are you surprised that the table, written in NumPy, loses to im2col? Each of its passes goes through the whole result once, from memory and back, while
# the matrix product inside im2col keeps its sums in registers. The idea of the table shows its worth only in a kernel that does both: chapter 10 writes one.
#
# ## Pooling
#
# Pooling slides a window, too, usually by its own width, and keeps one number of each: the mean, or the largest. *Mean pooling is
# a convolution*: with which kernel? *Max pooling is not*: it is not linear. Its gradient goes to the one pixel that won.

# %%
image = np.array([[[[1.0, 3, 2, 2], [0, 1, 2, 5], [7, 1, 0, 0], [1, 1, 4, 0]]]])
mean_kernel = np.full((1, 1, 2, 2), 1 / 4)
print("mean pooling       ", minidl.avg_pool2d(image, 2).ravel())
print("as a convolution   ", minidl.conv2d(image, mean_kernel, stride=2).ravel())
leaf = minidl.tensor(image, requires_grad=True)
pooled = minidl.max_pool2d(leaf, 2)
pooled.sum().backward()
print("max pooling        ", pooled.detach().numpy().ravel())
print("gradient of its sum:\n", leaf.grad.numpy()[0, 0])

# %% [markdown]
# Four ones, at 3, 5, 7 and 4. Of all other pixels the result does not depend at all, as long as the winners stay the same.
#
# ## The adjoint
#
# Now the gradients. A convolution is linear in $x$: double the picture, and the result doubles. Every linear map is a matrix $A$, if
# one writes the picture as a long vector, and then $y = A x$. Find the matrix by sending one bright pixel after the other
# through the map; each answer is one column.

# %%
edge = rng.uniform(0.5, 1.5, size=(1, 1, 3, 3))
height = width = 6
matrix = np.stack([convolve_loops(pixel.reshape(1, height, width), edge).ravel() for pixel in np.eye(36)], axis=1)
print(f"A is {matrix.shape[0]} × {matrix.shape[1]}, and {np.mean(matrix == 0):.0%} of it are zeros")

# %% [markdown]
# The chain rule for $y = A x$ is short. If $g = ∂L/∂y$, then
#
# $$ \frac{∂L}{∂x_m} = \sum_n \frac{∂L}{∂y_n} \frac{∂y_n}{∂x_m} = \sum_n g_n A_{nm}, \qquad\text{that is}\qquad \frac{∂L}{∂x} = A^{\mathsf T} g. $$
#
# **The gradient of a linear map is its transpose.** $A^{\mathsf T}$ is called the *adjoint* of the map, and it has a
# definition that needs no matrix: it is the one map for which
#
# $$ \langle A x,\; g \rangle = \langle x,\; A^{\mathsf T} g \rangle \qquad \text{for all } x \text{ and } g. $$
#
# That is a test in one line: draw $x$ and $g$ at random, compute two inner products, compare. No step size, no
# cancellation: it holds to the last digits, and one random draw catches nearly every mistake.
#
# What does $A^{\mathsf T}$ do? Where $A$ *gathers* (output $n$ reads pixels), its transpose *scatters* (gradient $n$ is handed back to the same
# pixels, with the same weights). The loops are the same, with `y` and `x` exchanged in one line:


# %%
def adjoint_loops(g, w, height, width):
    """Hand each g[o, p, q] back to the pixels that it came from."""
    outputs, channels, kh, kw = w.shape
    dx = np.zeros((channels, height, width))
    for o in range(outputs):
        for p in range(g.shape[1]):
            for q in range(g.shape[2]):
                for c in range(channels):
                    for i in range(kh):
                        for j in range(kw):
                            dx[c, p + i, q + j] += w[o, c, i, j] * g[o, p, q]
    return dx


g = rng.normal(size=(1, 4, 4))
print("equal to Aᵀ g:", np.allclose(adjoint_loops(g, edge, 6, 6).ravel(), matrix.T @ g.ravel()))

x, w = rng.normal(size=(3, 9, 8)), rng.normal(size=(4, 3, 3, 3))
g = rng.normal(size=(4, 7, 6))
there = np.sum(convolve_loops(x, w) * g)  # ⟨A x, g⟩
back = np.sum(x * adjoint_loops(g, w, 9, 8))  # ⟨x, Aᵀ g⟩
print(f"⟨A x, g⟩ = {there:.12f}\n⟨x, Aᵀg⟩ = {back:.12f}")
adjoint_gap = abs(there - back) / abs(there)

# %%
figure = chapter.figure(8, 4)
left, right = figure.subplots(1, 2, width_ratios=[36, 17])
left.imshow(matrix, cmap="cividis")
left.set(
    title="A: the convolution, 6 × 6 to 4 × 4",
    xlabel="input pixel (of 36)",
    ylabel="output pixel (of 16)",
    yticks=[0, 5, 10, 15],
)
image = right.imshow(matrix.T, cmap="cividis")
right.set(title="Aᵀ: its gradient", xlabel="output pixel (of 16)", ylabel="input pixel (of 36)", xticks=[0, 5, 10, 15])
figure.colorbar(image, ax=right, label="weight")
chapter.save(
    figure,
    "adjoint",
    "A 3 × 3 convolution as a matrix. Every row holds the same nine numbers, shifted: weights are shared. Most of the "
    "matrix is zero: each output sees nine pixels only. The gradient multiplies by the same matrix, lying on its side.",
)

# %% [markdown]
# ### The gradient is a convolution again
#
# Scattering is awkward for a processor: two outputs may want to add to the same pixel at once. So turn the question round, and ask
# for one pixel $m$: *which outputs have seen you, and with which weight?* Output $p$ saw pixel $h = p + i$ with weight $w_i$. So
# $p = h - i$: the index runs *backwards*, and this is a true convolution, with the flipped kernel.
#
# $$ \frac{∂L}{∂x_{c,h,v}} = \sum_{o,i,j} w_{o,c,i,j}\; g_{o,\;h-i,\;v-j} $$
#
# In terms of our (correlating) `conv2d`: flip the kernel in both directions, exchange its output and input channels, and
# pad $g$ with $K - 1$ zeros, so that the pixels at the edge, which fewer outputs have seen, come out right, too.

# %%
flipped = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)  # (C, O, KH, KW)
by_convolution = convolve_loops(g, flipped, padding=2)
print(f"largest difference from the adjoint: {abs(by_convolution - adjoint_loops(g, w, 9, 8)).max():.1e}")
print(f"and from minidl's conv_transpose2d:   {abs(by_convolution - minidl.conv_transpose2d(g[None], w)[0]).max():.1e}")

# %% [markdown]
# (`conv_transpose2d` is the same map under another name: networks that make pictures larger use it forwards.)
#
# ### The other gradient
#
# The convolution is linear in $w$ as well. Collect what multiplies $w_{o,c,i,j}$ in the formula: at each output pixel, the
# picture at $(p + i, q + j)$. So
#
# $$ \frac{∂L}{∂w_{o,c,i,j}} = \sum_{p,q} g_{o,p,q}\; x_{c,\;p+i,\;q+j} $$
#
# Read that again. A window slides over $x$, and the "kernel" is $g$: *the weight gradient is a correlation of the picture with
# the gradient*, one for each pair of channels. Three operations, one family, and each is the adjoint of another. That is the whole
# of `minidl/ops/conv.py`.

# %%
weight_gradient = np.stack([convolve_loops(x[c : c + 1], g[:, None]) for c in range(3)], axis=1)  # (O, C, KH, KW)
tx, tw = minidl.tensor(x, requires_grad=True), minidl.tensor(w, requires_grad=True)
(minidl.conv2d(tx, tw) * g).sum().backward()
print(f"input gradient:  largest difference from minidl {abs(tx.grad.numpy() - by_convolution).max():.1e}")
print(f"weight gradient: largest difference from minidl {abs(tw.grad.numpy() - weight_gradient).max():.1e}")
small_x, small_w = minidl.tensor(rng.normal(size=(1, 2, 4, 4))), minidl.tensor(rng.normal(size=(2, 2, 2, 2)))
print("finite differences to second order agree:", minidl.gradcheck(minidl.conv2d, [small_x, small_w], order=2))

# %% [markdown]
# ### See it move
#
# All of this chapter on one page: a part of the photograph, and the two Sobel kernels. Open `player.html` in a browser, point at an output pixel (or walk there with the arrow
# keys), and see the patch, the kernel, the products and their sum; then play it backwards, and watch where the pixel's gradient goes. **Why is
# the answer so strong at the left and right border?** Go there and look at the patch. (The page draws large numbers dark, like
# ink, so the photograph is its own negative: the bright sky is black. `minidl.viz.conv_player` takes any layer of your own network, too.)

# %%
sobel = np.stack([kernels["vertical edges (Sobel)"], kernels["horizontal edges (Sobel)"]])[:, None]
layer = minidl.nn.Conv2d(1, 2, 3, padding=1, bias=False)
layer.load_state_dict({"weight": minidl.tensor(sobel, dtype="float32")})
roof = photo[10:74:2, 40:120:2]
viz.conv_player(layer, roof, chapter.folder / "player.html", title="Sobel kernels on a roof")
print(f"written: {chapter.folder / 'player.html'}")

# %% [markdown]
# The zeros of the padding next to a bright sky *are* an edge, and the kernel cannot know that nobody photographed it.
#
# **Exercise 8.4** Write the backward of a one-dimensional convolution with stride: `y[q] = Σ_j w[j] · x[q·stride + j]`. Given `g` = ∂L/∂y,
# return both gradients, of `x` and of `w`. Your answer is judged by central differences.


# %%
def conv1d_backward(g, x, w, stride):
    raise NotImplementedError("exercise 08.4: write me")


teach.check("08.4", conv1d_backward)

# %% [markdown]
# ## Find the bug
#
# A student writes the input gradient and forgets the flip. The test uses a blur, since that is what the lecture had on its slides. **The test
# passes.** Why? And which kernel would you have chosen?


# %%
def input_gradient_of_a_student(g, w):
    unflipped = w.transpose(1, 0, 2, 3)
    return convolve_loops(g, unflipped, padding=w.shape[2] - 1)


g = rng.normal(size=(1, 6, 6))
bug_errors = {}
for name, numbers in {"blur": smooth, "Sobel": kernels["vertical edges (Sobel)"]}.items():
    student = input_gradient_of_a_student(g, numbers[None, None])
    right_one = adjoint_loops(g, numbers[None, None], *(6 + numbers.shape[0] - 1,) * 2)
    bug_errors[name] = abs(student - right_one).max()
    print(
        f"test with {name:6} largest error {bug_errors[name]:.2e}   {'passed' if bug_errors[name] < 1e-12 else 'FAILED'}"
    )

# %% [markdown]
# **The reveal.** A blur is symmetric: flipped, it is itself. The same happens with pictures of ones, square shapes and $C = O$: a
# symmetric test cannot see a mistake that exchanges two things. *Test with random numbers and with sizes that are all
# different.* The Sobel kernel changes its sign when it is flipped, so here the gradient points exactly the wrong way.
#
# ## What to remember
#
# - A convolution is an inner product at every place; its kernel is also the picture of what it likes best.
# - $O = ⌊(H + 2·\text{padding} - d(K-1) - 1)/s⌋ + 1$, and what does not fit is dropped without a word.
# - im2col makes it a matrix product, at $K^2$ times the memory; a table of $C·KH·KW$ offsets into the padded plane does the same at no cost.
# - The gradient of a linear map is its adjoint: $⟨Ax, g⟩ = ⟨x, A^{\mathsf T}g⟩$ tests it in one line, to the last digit.
# - ∂L/∂x is a convolution with the flipped kernel, ∂L/∂w a correlation of $x$ with $g$.
# - Test with asymmetric, random data.
#
# **Read on.** V. Dumoulin, F. Visin, *A guide to convolution arithmetic for deep learning* (2016), arXiv:1603.07285. K. Chellapilla, S. Puri, P. Simard,
# *High performance convolutional neural networks for document processing* (2006), for im2col. J. Claerbout, *Earth Soundings Analysis* (1992), for the dot-product
# test. M. Dukhan, *The indirect convolution algorithm* (2019), arXiv:1907.02129, for tables in place of copies.

# %%
chapter.report(
    max_error=worst,
    adjoint_gap=adjoint_gap,
    gradient_error=max(abs(tx.grad.numpy() - by_convolution).max(), abs(tw.grad.numpy() - weight_gradient).max()),
    speedup_im2col=seconds["loops"] / seconds["im2col"],
    speedup_minidl=seconds["loops"] / seconds["minidl.conv2d"],
    symmetric_test_error=bug_errors["blur"],
    asymmetric_test_error=bug_errors["Sobel"],
)
