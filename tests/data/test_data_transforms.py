"""Transforms: shapes and invariants by properties, values against loops, colorsys, PIL and PyTorch."""

import colorsys
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

import minidl
from minidl.data import transforms as T
from minidl.data.seeding import randomness_of
from minidl.data.transforms.affine import affine_matrix
from minidl.data.transforms.color import adjust_contrast, adjust_hue, adjust_saturation
from minidl.errors import DTypeError, OptionError, ShapeError
from minidl.tensor import Tensor

pictures = st_np.arrays(
    st.sampled_from([np.uint8, np.float32]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda size: st.sampled_from([size, (*size, 1), (*size, 3)])
    ),
    elements=st.integers(0, 1),
)


def random_picture(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def once(transform, image, seed=0):
    with randomness_of(seed, 0):
        return transform(image)


def as_tensor(image):
    return Tensor(np.ascontiguousarray(image if image.ndim == 2 else np.moveaxis(image, -1, 0)))


ONE_OF_EACH = [
    T.Resize((5, 7)),
    T.Resize(6, "nearest"),
    T.CenterCrop(4),
    T.RandomCrop(6, padding=2),
    T.RandomHorizontalFlip(1),
    T.RandomVerticalFlip(1),
    T.RandomRotation(40, "bilinear"),
    T.RandomAffine(20, (0.2, 0.1), (0.8, 1.2), (5, 10, -5, 5), fill=1),
    T.RandomErasing(1),
    T.RandomErasing(1, value="random"),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.Grayscale(3),
]
RANDOM_ONES = [t for t in ONE_OF_EACH if type(t).__name__.startswith(("Random", "Color"))]


@pytest.mark.parametrize("transform", ONE_OF_EACH, ids=lambda t: type(t).__name__)
def test_arrays_tensors_and_pil_images_give_the_same_picture(transform):
    image = random_picture(9, 8, 3)
    before = image.copy()
    result = once(transform, image)
    np.testing.assert_array_equal(image, before)  # the input is left alone
    assert result.dtype == image.dtype and result.ndim == 3 and result.flags.c_contiguous
    tensor = once(transform, as_tensor(image))
    assert isinstance(tensor, Tensor) and tensor.data.flags.c_contiguous
    np.testing.assert_array_equal(np.moveaxis(tensor.data, 0, -1), result)
    Image = pytest.importorskip("PIL.Image")
    pil = once(transform, Image.fromarray(image))
    assert pil.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(pil), result)


@pytest.mark.parametrize("transform", ONE_OF_EACH[:-1], ids=lambda t: type(t).__name__)
def test_grey_pictures(transform):
    image = random_picture(9, 8)
    flat, deep = once(transform, image), once(transform, image[:, :, None])
    assert flat.ndim == 2 and deep.shape == (*flat.shape, 1)
    np.testing.assert_array_equal(deep[:, :, 0], flat)
    Image = pytest.importorskip("PIL.Image")
    pil = once(transform, Image.fromarray(image))
    assert pil.mode == "L"
    np.testing.assert_array_equal(np.asarray(pil), flat)


@pytest.mark.parametrize("transform", RANDOM_ONES, ids=lambda t: type(t).__name__)
def test_random_numbers_come_from_the_current_generator(transform):
    image = random_picture(12, 12, 3)
    np.testing.assert_array_equal(once(transform, image, seed=1), once(transform, image, seed=1))
    minidl.manual_seed(5)
    first = transform(image)
    minidl.manual_seed(5)
    np.testing.assert_array_equal(transform(image), first)


def test_every_random_transform_is_tested_above():
    random_ones = {
        name
        for name, value in vars(T).items()
        if inspect.isclass(value) and name.startswith(("Random", "Color")) and issubclass(value, T.Transform)
    }
    assert random_ones == {type(t).__name__ for t in RANDOM_ONES}


# ToTensor, Normalize


def test_to_tensor():
    image = random_picture(4, 5, 3)
    x = T.ToTensor()(image)
    assert x.shape == (3, 4, 5) and x.dtype == np.float32
    np.testing.assert_array_equal(x.data, image.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    assert T.ToTensor()(image[:, :, 0]).shape == (1, 4, 5)
    assert T.ToTensor()(np.full((2, 2), 7.0)).data.max() == 7 and T.ToTensor()(np.zeros((2, 2))).dtype == np.float64
    image[...] = 0
    assert x.data.max() > 0  # a copy
    with pytest.raises(DTypeError, match="once"):
        T.ToTensor()(x)


def test_normalize():
    image = np.random.default_rng(0).random((2, 3, 4), dtype=np.float32)  # a Tensor: C, H, W
    result = T.Normalize([0.5, 0.25], [0.5, 2])(Tensor(image))
    np.testing.assert_allclose(result.data[0], (image[0] - 0.5) / 0.5, rtol=1e-6)
    np.testing.assert_allclose(result.data[1], (image[1] - 0.25) / 2, rtol=1e-6)
    assert result.dtype == np.float32
    assert T.Normalize(0.5, 0.5)(image.astype(np.float64)).dtype == np.float64
    with pytest.raises(ShapeError, match="2 channels"):
        T.Normalize([0, 0, 0], 1)(Tensor(image))
    with pytest.raises(DTypeError, match="ToTensor"):
        T.Normalize(0, 1)(random_picture(3, 3))
    with pytest.raises(OptionError, match="> 0"):
        T.Normalize(0, [1, 0])


# Cropping and flipping


@given(pictures, st.integers(1, 12), st.integers(1, 12))
def test_center_crop_has_the_size_and_the_middle(image, height, width):
    result = T.CenterCrop((height, width))(image)
    assert result.shape == (height, width, *image.shape[2:])
    if height >= image.shape[0] and width >= image.shape[1]:
        assert result.sum() == image.sum()  # nothing is lost when only a border is added
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        np.testing.assert_array_equal(result[top : top + image.shape[0], left : left + image.shape[1]], image)


def test_center_crop_rounds_as_torchvision_does():
    ramp = np.arange(7)[:, None] * 10 + np.arange(6)
    # (7 - 4) / 2 and (6 - 3) / 2 are both 1.5: Python rounds to the even 2
    np.testing.assert_array_equal(T.CenterCrop((4, 3))(ramp), ramp[2:6, 2:5])


@given(
    pictures,
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 2**31),
)
def test_random_crop_is_a_window_of_the_padded_picture(image, left, top, right, bottom, seed):
    size = (max(1, image.shape[0] - 1), max(1, image.shape[1] - 1))
    result = once(T.RandomCrop(size, padding=(left, top, right, bottom), fill=1), image, seed)
    assert result.shape == (*size, *image.shape[2:]) and result.dtype == image.dtype
    widths = [(top, bottom), (left, right)] + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, widths, constant_values=1)
    windows = (
        padded[y : y + size[0], x : x + size[1]]
        for y in range(padded.shape[0] - size[0] + 1)
        for x in range(padded.shape[1] - size[1] + 1)
    )
    assert any(np.array_equal(window, result) for window in windows)


def test_random_crop_reaches_every_place():
    image = np.arange(9).reshape(3, 3)
    seen = {int(once(T.RandomCrop(1), image, seed)[0, 0]) for seed in range(200)}
    assert seen == set(range(9))


def test_random_crop_border():
    image = random_picture(2, 2, 3)
    assert once(T.RandomCrop(6, padding=2, fill=(300, -5, 6.6)), image)[0, 0].tolist() == [255, 0, 7]
    red = once(T.RandomCrop(6, padding=(2, 2), fill=(255, 0, 0)), image)
    assert red[0, 0].tolist() == [255, 0, 0] and red.shape == (6, 6, 3)
    for mode in ("edge", "reflect", "symmetric"):
        grown = once(T.RandomCrop(4, padding=1, padding_mode=mode), image)
        np.testing.assert_array_equal(grown, np.pad(image, ((1, 1), (1, 1), (0, 0)), mode=mode))
    assert once(T.RandomCrop((5, 3), pad_if_needed=True), image).shape == (5, 3, 3)
    with pytest.raises(ShapeError, match="pad_if_needed"):
        T.RandomCrop(5, padding=1)(image)
    with pytest.raises(ShapeError, match="colour of 1 or 3"):
        T.RandomCrop(2, padding=1, fill=(1, 2))(image)


@given(pictures)
def test_flips(image):
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1)(image), image[:, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(1)(image), image[::-1])
    assert T.RandomHorizontalFlip(0)(image) is image


def test_flips_happen_with_probability_p():
    image = np.array([[0, 1]])
    count = sum(once(T.RandomHorizontalFlip(0.3), image, seed)[0, 0] for seed in range(2000))
    assert 520 < count < 680


# Resizing


@given(pictures, st.integers(1, 12), st.integers(1, 12), st.sampled_from(["bilinear", "nearest"]))
def test_resize_shape_and_range(image, height, width, interpolation):
    result = T.Resize((height, width), interpolation)(image)
    assert result.shape == (height, width, *image.shape[2:]) and result.dtype == image.dtype
    assert image.min() - 1e-6 <= result.min() and result.max() <= image.max() + 1e-6
    flat = np.full_like(image, 1)
    np.testing.assert_allclose(T.Resize((height, width), interpolation)(flat), 1, rtol=1e-6)


def test_resize_by_the_shorter_side():
    assert T.Resize(10)(np.zeros((20, 31, 3))).shape == (10, 15, 3)
    assert T.Resize(10)(np.zeros((31, 20))).shape == (15, 10)
    image = np.zeros((10, 20))
    assert T.Resize(10)(image) is image


@settings(deadline=None)  # the first example imports PIL
@given(st.tuples(*[st.integers(1, 20)] * 4), st.integers(0, 1000))
def test_bilinear_resize_agrees_with_pil_on_float_pictures(sizes, seed):
    Image = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(seed).random(sizes[:2], dtype=np.float32)
    expected = np.asarray(Image.fromarray(image).resize(sizes[:1:-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(T.Resize(sizes[2:])(image), expected, atol=1e-6)


@given(st.integers(1, 30), st.integers(1, 30))
def test_nearest_resize_takes_the_pixel_under_the_centre(n_in, n_out):
    # (i + 1/2) * n_in / n_out in whole numbers
    expected = [(2 * i + 1) * n_in // (2 * n_out) for i in range(n_out)]
    assert T.Resize((n_out, 1), "nearest")(np.arange(n_in)[:, None])[:, 0].tolist() == expected


@pytest.mark.parametrize("size", [(30, 40), (7, 5), (13, 33)])
def test_resize_agrees_with_pil_on_bytes(size):
    Image = pytest.importorskip("PIL.Image")
    image = random_picture(17, 23, 3)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(T.Resize(size)(image).astype(int) - expected).max() <= 1  # PIL rounds between the axes
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.NEAREST))
    np.testing.assert_array_equal(T.Resize(size, "nearest")(image), expected)


# Affine maps


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("shape", [(5, 5), (4, 4, 3)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns_are_exact(shape, expand, interpolation):
    image = random_picture(*shape)
    for quarters in range(-3, 4):
        turn = T.RandomRotation((90 * quarters, 90 * quarters), interpolation, expand)
        np.testing.assert_array_equal(turn(image), np.rot90(image, quarters))


def test_quarter_turn_of_an_oblong_with_expand():
    image = random_picture(4, 7)
    np.testing.assert_array_equal(T.RandomRotation((90, 90), expand=True)(image), np.rot90(image))


@pytest.mark.parametrize("angle", [17.0, -64.0, 133.0])
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_rotation_agrees_with_pil(angle, expand, interpolation):
    Image = pytest.importorskip("PIL.Image")
    image = random_picture(21, 30, 3)
    resample = getattr(Image.Resampling, interpolation.upper())
    expected = np.asarray(Image.fromarray(image).rotate(angle, resample, expand=expand, fillcolor=(9, 8, 7)))
    result = T.RandomRotation((angle, angle), interpolation, expand, fill=(9, 8, 7))(image)
    assert result.shape == expected.shape
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_affine_matrix_against_points_moved_by_hand():
    # A quarter turn clockwise about (2, 1) takes the point right of it to the point below it (y points down).
    moved = affine_matrix((2, 1), 90) @ [3, 1, 1]
    np.testing.assert_allclose(moved, [2, 2, 1], atol=1e-12)
    moved = affine_matrix((2, 1), 0, translate=(5, -3), scale=2) @ [3, 2, 1]
    np.testing.assert_allclose(moved, [2 + 2 + 5, 1 + 2 - 3, 1], atol=1e-12)
    # torchvision's closed form of rotation, shear and scale
    a, sx, sy, s = np.radians([30, 10, 20]).tolist() + [1.5]
    expected = s * np.array(
        [
            [np.cos(a - sy) / np.cos(sy), -np.cos(a - sy) * np.tan(sx) / np.cos(sy) - np.sin(a)],
            [np.sin(a - sy) / np.cos(sy), -np.sin(a - sy) * np.tan(sx) / np.cos(sy) + np.cos(a)],
        ]
    )
    np.testing.assert_allclose(affine_matrix((0, 0), 30, scale=1.5, shear=(10, 20))[:2, :2], expected, atol=1e-12)


def test_random_affine_translates_by_whole_pixels_and_fills():
    image = random_picture(10, 10)
    shifts = set()
    for seed in range(250):
        moved = once(T.RandomAffine(0, translate=(0.2, 0.1), fill=3), image, seed)
        matches = [
            (dx, dy)
            for dx in range(-2, 3)
            for dy in range(-1, 2)
            if np.array_equal(moved, _shifted(image, dx, dy, fill=3))
        ]
        assert len(matches) == 1
        shifts |= set(matches)
    assert len(shifts) == 15


def _shifted(image, dx, dy, fill):
    height, width = image.shape
    result = np.full_like(image, fill)
    for y in range(height):
        for x in range(width):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                result[y + dy, x + dx] = image[y, x]
    return result


def test_random_affine_scale():
    image = np.zeros((8, 8), np.uint8)
    image[2:6, 2:6] = 200
    assert (T.RandomAffine(0, scale=(2, 2))(image) == 200).all()


# Colours


def test_grayscale():
    image = random_picture(3, 4, 3)
    grey = T.Grayscale()(image)
    assert grey.shape == (3, 4, 1)
    expected = np.rint(image @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(grey[:, :, 0] - expected).max() <= 1
    assert T.Grayscale(3)(as_tensor(image)).shape == (3, 3, 4)
    assert T.Grayscale()(image[:, :, 0]).shape == (3, 4)
    with pytest.raises(ShapeError, match="channel"):
        T.Grayscale(3)(image[:, :, 0])
    with pytest.raises(ShapeError, match="1 or 3 channels"):
        T.Grayscale()(np.zeros((3, 4, 2)))


@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(-0.5, 0.5))
def test_hue_against_colorsys(colour, shift):
    rgb = [value / 255 for value in colour]
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    expected = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
    np.testing.assert_allclose(adjust_hue(np.array([[rgb]]), shift)[0, 0], expected, atol=1e-9)


def test_brightness_contrast_saturation():
    image = np.array([[[0.2, 0.4, 0.6], [0.8, 0.1, 0.3]]])
    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in image[0]]
    np.testing.assert_allclose(adjust_saturation(image, 0)[0, 1], [grey[1]] * 3, rtol=1e-6)
    np.testing.assert_allclose(adjust_contrast(image, 0), sum(grey) / 2, rtol=1e-6)
    np.testing.assert_allclose(T.ColorJitter(brightness=(0.5, 0.5))(image), image / 2, rtol=1e-6)
    np.testing.assert_array_equal(T.ColorJitter(brightness=(9, 9))(random_picture(3, 3) | 128), 255)
    np.testing.assert_allclose(T.ColorJitter()(image), image, rtol=1e-12)
    np.testing.assert_array_equal(T.ColorJitter(saturation=1, hue=0.5)(random_picture(3, 3)), random_picture(3, 3))


@given(pictures, st.integers(0, 1000))
def test_color_jitter_keeps_the_range(image, seed):
    result = once(T.ColorJitter(2, 2, 2, 0.5), image, seed)
    assert result.shape == image.shape and result.dtype == image.dtype
    assert result.min() >= 0 and result.max() <= (255 if image.dtype == np.uint8 else 1)


def test_color_jitter_order_is_random():
    image = np.random.default_rng(0).random((4, 4, 3))
    jitter = T.ColorJitter(brightness=(1.8, 1.8), saturation=(3, 3))
    results = {once(jitter, image, seed).tobytes() for seed in range(12)}
    assert len(results) == 2  # brighter first, or more colourful first: clipping makes the difference


# Erasing


@pytest.mark.parametrize("value", [7, (1, 2, 3), "random"])
def test_random_erasing_writes_one_rectangle(value):
    image = np.full((20, 30, 3), 50, np.uint8)
    for seed in range(20):
        erased = once(T.RandomErasing(1, scale=(0.1, 0.2), ratio=(0.5, 2), value=value), image, seed)
        changed = (erased != image).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        box = erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert 0.07 * 600 <= box.shape[0] * box.shape[1] <= 0.25 * 600
        assert 0.35 <= box.shape[0] / box.shape[1] <= 2.9
        if value != "random":
            assert (box == np.asarray(value)).all() and changed.sum() == box.shape[0] * box.shape[1]
    assert (image == 50).all()


def test_random_erasing_may_leave_the_picture():
    image = random_picture(6, 6)
    assert T.RandomErasing(0)(image) is image
    assert once(T.RandomErasing(1, scale=(1, 1), ratio=(1, 1)), image) is image


# Kinds of pictures, bad options


def test_pil_modes():
    Image = pytest.importorskip("PIL.Image")
    for mode, expected in {
        "1": "L",
        "P": "RGB",
        "CMYK": "RGB",
        "RGBA": "RGBA",
        "LA": "LA",
        "F": "F",
        "PA": "RGBA",
    }.items():
        assert T.CenterCrop(2)(Image.new(mode, (4, 4))).mode == expected


def test_compose_lambda_repr():
    chain = T.Compose([T.Lambda(np.negative), T.Resize(3, "nearest")])
    assert chain(np.ones((3, 3))).tolist() == [[-1] * 3] * 3
    assert repr(chain) == (
        "Compose(transforms=[Lambda(function=<ufunc 'negative'>), Resize(size=3, interpolation='nearest')])"
    )


@pytest.mark.parametrize("image", [np.zeros(3), np.zeros((1, 2, 3, 4)), Tensor(np.zeros((1, 2, 3, 4)))])
def test_wrong_dimensions(image):
    with pytest.raises(ShapeError, match="one picture"):
        T.CenterCrop(2)(image)


def test_no_picture():
    with pytest.raises(DTypeError, match="PIL image"):
        T.CenterCrop(2)("picture.png")
    with pytest.raises(ShapeError, match="at least one pixel"):
        T.Resize(2)(np.zeros((0, 3)))
    with pytest.raises(DTypeError, match="int32"):
        T.ColorJitter(1)(np.zeros((2, 2), np.int32))


@pytest.mark.parametrize(
    "make",
    [
        lambda: T.Resize(0),
        lambda: T.Resize(3, "cubic"),
        lambda: T.CenterCrop((2, 0)),
        lambda: T.RandomCrop(2, padding=-1),
        lambda: T.RandomCrop(2, padding=(1, 2, 3)),
        lambda: T.RandomCrop(2, padding_mode="wrap"),
        lambda: T.RandomHorizontalFlip(1.5),
        lambda: T.RandomVerticalFlip(float("nan")),
        lambda: T.RandomRotation(-3),
        lambda: T.RandomRotation((3, -3)),
        lambda: T.RandomAffine(0, translate=(2, 0)),
        lambda: T.RandomAffine(0, scale=(0, 1)),
        lambda: T.RandomAffine(0, shear=(1, 2, 3)),
        lambda: T.ColorJitter(-1),
        lambda: T.ColorJitter((-1, 1)),
        lambda: T.ColorJitter(hue=0.6),
        lambda: T.Grayscale(2),
        lambda: T.RandomErasing(scale=(0.5, 0.1)),
        lambda: T.RandomErasing(ratio=(0, 1)),
        lambda: T.RandomErasing(value="noise"),
        lambda: T.Lambda(3),
    ],
)
def test_bad_options(make):
    with pytest.raises(OptionError):
        make()
