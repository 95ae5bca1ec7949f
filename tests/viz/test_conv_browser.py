"""The convolution player in a real browser: what it shows under the pointer is what the engine computes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from chromium import contrast, start_browser
from PIL import Image

import minidl
from minidl import nn, viz

pytestmark = pytest.mark.browser

LAYERS = {
    "plain": lambda: (nn.Conv2d(1, 3, 5, padding=2), minidl.randn(1, 12, 14)),
    "strided": lambda: (nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), minidl.randn(4, 11, 9)),
    "dilated": lambda: (nn.Conv2d(2, 2, (2, 3), dilation=2, padding="same", bias=False), minidl.randn(2, 8, 8)),
}


@pytest.fixture(scope="module")
def browser():
    browser = start_browser()
    yield browser
    browser.close()


@pytest.fixture(scope="module", params=LAYERS)
def case(request, tmp_path_factory):
    minidl.manual_seed(0)
    layer, picture = LAYERS[request.param]()
    path = tmp_path_factory.mktemp("conv") / f"{request.param}.html"
    viz.conv_player(layer, picture, path)
    return layer, picture, path


def matrix(browser, name: str) -> np.ndarray:
    rows = browser.run(
        "return [...document.querySelectorAll(arguments[0] + ' tr')]"
        ".map((row) => [...row.cells].map((cell) => Number(cell.dataset.value)))",
        f"#{name}",
    )
    return np.array(rows)


def select(browser, name: str, value: int) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find(f"#{name}-channel")).select_by_value(str(value))


def engine_gradients(layer, picture, o: int, place) -> tuple[np.ndarray, np.ndarray]:
    """∂y[o, i, j]/∂x and /∂w by the engine; `place` None for the sum over all pixels."""
    x = minidl.tensor(picture.numpy()[None], requires_grad=True)
    y = layer(x)[0, o]
    found = minidl.grad(y.sum() if place is None else y[place], [x, layer.weight])
    return found[0].numpy()[0], found[1].numpy()[o]


def test_it_opens_without_requests_or_errors(browser, case):
    browser.open(case[2])
    browser.click("#one")
    browser.click("#all")
    assert set(browser.requests()) == {case[2].as_uri()}
    assert browser.errors() == []


def test_the_sum_is_the_output_of_the_engine(browser, case):
    layer, picture, path = case
    output = layer(picture.unsqueeze(0)).detach().numpy()[0]
    browser.open(path, height=1400)
    for o in range(len(output)):
        select(browser, "output", o)
        for i, j in ((0, 0), (1, 2), (output.shape[1] - 1, output.shape[2] - 1)):
            browser.run("choose(arguments[0], arguments[1])", i, j)
            computed, engine = float(browser.text("#computed")), float(browser.text("#engine"))
            assert computed == pytest.approx(output[o, i, j], abs=1e-4)
            assert engine == pytest.approx(output[o, i, j], rel=1e-4)
            assert f"Output channel {o}, row {i}, column {j}" in browser.text("#status")
            cell = browser.text('#output-table [aria-current="true"]')
            assert float(cell) == pytest.approx(output[o, i, j], rel=1e-2, abs=1e-6)


def test_patch_times_kernel(browser, case):
    layer, _, path = case
    browser.open(path)
    patch, kernel, products = (matrix(browser, name) for name in ("patch", "kernel", "products"))
    np.testing.assert_allclose(kernel, layer.weight.data[0, 0], rtol=1e-6)
    np.testing.assert_allclose(products, patch * kernel, rtol=1e-12)
    sums = re.search(r"(?:products|channels) (.*?) (?:\+ bias|=)", browser.text("#total")).group(1)
    assert float(sums.split(" + ")[0]) == pytest.approx(products.sum(), abs=1e-4)


def test_hovering_chooses_the_pixel(browser, case):
    _, _, path = case
    browser.open(path, height=1400)
    height, width, scale = browser.run("return [outHeight, outWidth, scale]")
    for i, j in ((0, 0), (height - 1, 1), (2, width - 1)):  # near the lower left corner of the pixel
        browser.hover("#output", (j + 0.15 - width / 2) * scale, (i + 0.85 - height / 2) * scale)
        assert f"row {i}, column {j}" in browser.text("#status")


def test_by_keys_alone(browser, case):
    _, _, path = case
    browser.open(path)
    for _ in range(10):
        browser.press("TAB")
        focus = browser.focused()
        assert focus["outline"] != "none"
        if focus["id"] == "output":
            break
    assert focus["id"] == "output"
    i, j = browser.run("return [state.i, state.j]")
    browser.press("ARROW_DOWN", "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_LEFT", "ARROW_UP", "ARROW_UP")
    assert browser.run("return [state.i, state.j]") == [i - 1, j + 1]
    browser.press("HOME")
    assert f"row {i - 1}, column 0" in browser.text("#status")
    browser.press(*["ARROW_LEFT"] * 3)
    assert f"row {i - 1}, column 0" in browser.text("#status")  # the border holds
    browser.press("m")
    assert browser.find("#one").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("mode", ["one", "all"])
def test_where_the_gradient_goes(browser, case, mode):
    layer, picture, path = case
    browser.open(path)
    select(browser, "output", layer.out_channels - 1)
    channels = layer.in_channels // layer.groups
    if channels > 1:
        select(browser, "input", channels - 1)
    browser.click(f"#{mode}")
    o, c, channel = browser.run("return [state.o, state.c, inputChannel()]")
    place = None if mode == "all" else tuple(browser.run("return [state.i, state.j]"))
    to_input, to_weight = engine_gradients(layer, picture, o, place)
    shown = np.array(browser.run("return [...gradients().toInput]")).reshape(picture.shape[1:])
    np.testing.assert_allclose(shown, to_input[channel], atol=1e-5)
    np.testing.assert_allclose(matrix(browser, "to-weight"), to_weight[c], atol=1e-4)
    if mode == "one":
        np.testing.assert_allclose(matrix(browser, "to-input"), layer.weight.data[o, c], rtol=1e-6)
    # What is drawn has the sign of the gradient: orange is positive, blue negative.
    pixels = np.array(browser.run(
        "const pen = inputCanvas.getContext('2d'), found = [];"
        "for (let r = 0; r < height; r++) for (let q = 0; q < width; q++) found.push([...pen.getImageData("
        "(q + padding[1] + .5) * scale, (r + padding[0] + .5) * scale, 1, 1).data].slice(0, 3)); return found"
    )).reshape(*picture.shape[1:], 3)  # fmt: skip
    strong = np.abs(to_input[channel]) > 0.2 * np.abs(to_input[channel]).max()
    warm = pixels[..., 0] > pixels[..., 2]
    np.testing.assert_array_equal(warm[strong], to_input[channel][strong] > 0)


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_are_readable(browser, case, dark):
    browser.open(case[2], dark=dark)
    pairs = browser.run(
        "return [...document.querySelectorAll('.matrix td:not(.padding)')].map((cell) =>"
        "[getComputedStyle(cell).color, getComputedStyle(cell).backgroundColor])"
    )
    assert min(contrast(*pair) for pair in pairs) >= 4.5
    caption = browser.run("const s = getComputedStyle(document.querySelector('figcaption')); return s.color")
    assert contrast(caption, browser.run("return getComputedStyle(document.body).backgroundColor")) >= 4.5


@pytest.mark.parametrize("width", [1280, 500])
def test_it_fits_the_window_and_is_not_blank(browser, case, tmp_path, width):
    browser.open(case[2], width=width)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    picture = np.asarray(Image.open(browser.picture(tmp_path / "page.png")).convert("L"), dtype=float)
    assert picture.std() > 10
