"""The graph page in a real browser: what it shows are the engine's numbers, by mouse, by keys, and as a table."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from chromium import contrast, start_browser
from PIL import Image

import minidl
from minidl import nn, viz

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    browser = start_browser()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """f = tanh(e a) with e = a b + c: `a` is used twice."""
    names = {name: minidl.tensor(x, requires_grad=True) for name, x in (("a", 2.0), ("b", -3.0), ("c", 6.5))}
    a, b, c = names.values()
    d = a * b
    e = d + c
    f = (e * a).tanh()
    path = tmp_path_factory.mktemp("graph") / "small.html"
    viz.graph(f, path, names={**names, "d": d, "e": e})
    f.backward()
    return path, names, f


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return x + self.b(self.a(x).relu()).tanh()


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Eight residual blocks: enough operations to be closed at first."""
    minidl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(*[Block(8) for _ in range(8)]), nn.Linear(8, 1))
    path = tmp_path_factory.mktemp("graph") / "deep.html"
    viz.graph((model(minidl.randn(5, 4)) ** 2).mean(), path, model=model)
    return path


def node(browser, title: str) -> str:
    """Selector of the node whose first line is `title`."""
    index = browser.run("return shown.items.find((item) => item.lines[0] === arguments[0]).id", title)
    return f'[data-id="{index}"]'


def gradient_line(browser, title: str) -> str:
    return browser.text(f"{node(browser, title)} .gradient").strip()


def test_it_opens_without_requests_or_errors(browser, small, deep):
    for path in (small[0], deep):
        browser.open(path)
        assert set(browser.requests()) == {path.as_uri()}
        assert browser.errors() == []
        assert browser.run("return document.documentElement.lang") == "en"


def test_forward_shows_values_and_no_gradients_but_the_seed(browser, small):
    path, _, f = small
    browser.open(path)
    assert browser.text(f"{node(browser, 'a')} .value") == "2"
    assert browser.text(f"{node(browser, 'd = Mul')} .value") == "-6"
    assert browser.text(f"{node(browser, 'e = Add')} .value") == "0.5"
    assert float(browser.text(f"{node(browser, 'Tanh')} .value")) == pytest.approx(f.item(), rel=1e-3)
    assert gradient_line(browser, "Tanh") == "∂ 1"
    assert [gradient_line(browser, name) for name in ("a", "b", "c", "Mul")] == [""] * 4
    assert browser.find("#back").get_attribute("disabled")


def test_stepping_fills_the_gradients_in_the_order_of_the_engine(browser, small):
    path, leaves, f = small
    slope = 1 - f.item() ** 2
    browser.open(path)
    browser.click("#step")  # tanh
    assert float(gradient_line(browser, "Mul").removeprefix("∂ ")) == pytest.approx(slope, rel=1e-3)
    browser.click("#step")  # e a: the first contribution to a
    first = slope * 0.5
    assert gradient_line(browser, "a") == f"∂ {first:.2f} …"
    assert "part" in browser.find(node(browser, "a")).get_attribute("class")
    browser.press("n", "n")  # e, then d = a b: the second one is added
    a = leaves["a"].grad.item()
    assert "step 4 of 4" in browser.text("#position")
    assert re.search(r"a \+= (\S+), now (\S+);", browser.text("#status")).groups() == (f"{a - first:.4g}", f"{a:.4g}")
    for name, leaf in leaves.items():
        assert float(gradient_line(browser, name).removeprefix("∂ ")) == pytest.approx(leaf.grad.item(), rel=1e-3)
        assert "full" in browser.find(node(browser, name)).get_attribute("class")


def test_the_sum_of_contributions_is_spelled_out(browser, small):
    path, leaves, _ = small
    browser.open(path)
    browser.press("END")
    browser.hover(node(browser, "a"))
    details = browser.text("#details")
    parts = [float(x) for x in re.findall(r"= (\S+) from", details)]
    assert len(parts) == 2 and "+= " in details
    assert sum(parts) == pytest.approx(leaves["a"].grad.item(), rel=1e-3)
    assert float(re.search(r"Sum so far: ([-\d.]+?)Complete", details).group(1)) == pytest.approx(sum(parts), rel=1e-3)


def test_back_undoes_a_step(browser, small):
    browser.open(small[0])
    browser.press("n", "n")
    before = browser.run("return document.getElementById('graph').outerHTML")
    browser.press("n", "b")
    assert browser.run("return document.getElementById('graph').outerHTML") == before
    browser.press("n")
    browser.click("#back")
    assert browser.run("return document.getElementById('graph').outerHTML") == before
    for back_to_the_start in (lambda: browser.press("HOME"), lambda: browser.click("#start")):
        back_to_the_start()
        assert "step 0 of 4" in browser.text("#position") and gradient_line(browser, "a") == ""
        browser.click("#end")


def test_what_goes_back_and_its_inputs_are_in_view(browser, deep):
    browser.open(deep, width=500)
    browser.click("#toggle-groups")
    browser.press(*["n"] * 7)
    outside = browser.run(
        "const frame = document.getElementById('picture').getBoundingClientRect();"
        "const now = shown.links.filter((link) => link.path.classList.contains('now'));"
        "return now.flatMap((link) => [link.from, link.to])"
        ".map((id) => shown.items.find((item) => item.id === id).g.getBoundingClientRect())"
        ".filter((box) => box.top < frame.top - 1 || box.bottom > frame.bottom + 1).length"
    )
    assert outside == 0


def test_play_runs_to_the_end_and_pauses(browser, small):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.open(small[0])
    browser.click("#play")
    assert browser.text("#play") == "Pause"
    WebDriverWait(browser.driver, 30).until(lambda _: "step 4 of 4" in browser.text("#position"))
    assert browser.text("#play") == "Play"
    assert browser.find("#step").get_attribute("disabled")


def test_by_keys_alone(browser, small):
    browser.open(small[0])
    seen = []
    for _ in range(12):
        browser.press("TAB")
        focus = browser.focused()
        seen.append(focus["id"] or focus["node"])
        assert focus["outline"] != "none" and float(focus["width"].removesuffix("px")) >= 2
        if focus["node"]:
            break
    assert {"step", "play", "end"} <= set(seen)
    start = browser.focused()["node"]
    assert f'[data-id="{start}"]' == node(browser, "Tanh")  # the result
    browser.press("ARROW_UP")
    assert f'[data-id="{browser.focused()["node"]}"]' == node(browser, "Mul")
    assert "Mul" in browser.text("#details h2")
    browser.press("n")  # stepping works while a node has the focus
    assert "step 1 of 4" in browser.text("#position")


def test_closed_groups_open_by_click_and_by_enter(browser, deep):
    browser.open(deep)
    count = browser.run("return shown.items.length")
    outer = node(browser, "2: Sequential")
    browser.click(outer)
    inside = browser.run("return shown.items.length")
    assert inside > count
    first = node(browser, "2.0: Block")
    browser.run("document.querySelector(arguments[0]).focus()", first)
    browser.press("ENTER")
    assert browser.run("return shown.items.length") > inside
    titles = browser.run("return shown.items.map((item) => item.lines[0])")
    assert "2.0.a.weight" in titles and "2.1: Block" in titles
    closing = browser.find("#details button")
    assert closing.text == "Close 2.0: Block"
    closing.click()
    assert browser.run("return shown.items.length") == inside
    browser.press("END")
    assert gradient_line(browser, "2.0: Block") == "3 of 3 went back"


@pytest.mark.parametrize("opened", [False, True])
def test_the_layout(browser, deep, opened):
    """Boxes do not overlap, edges go down, nothing lies outside, and few edges cross."""
    browser.open(deep)
    if opened:
        browser.click("#toggle-groups")
    boxes = browser.run("return shown.items.map(({id, x, y, w, h}) => ({id, x, y, w, h}))")
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart_x = abs(one["x"] - other["x"]) >= (one["w"] + other["w"]) / 2
            apart_y = abs(one["y"] - other["y"]) >= (one["h"] + other["h"]) / 2
            assert apart_x or apart_y, (one, other)
    paths = browser.run("return shown.links.map((link) => link.points)")
    assert all(a["y"] < b["y"] for points in paths for a, b in itertools.pairwise(points))
    _, _, width, height = map(float, browser.run("return svg.getAttribute('viewBox')").split())
    assert all(-0.01 <= box["x"] - box["w"] / 2 and box["x"] + box["w"] / 2 <= width for box in boxes)
    assert all(-0.01 <= box["y"] - box["h"] / 2 and box["y"] + box["h"] / 2 <= height for box in boxes)
    segments = [(a, b) for points in paths for a, b in itertools.pairwise(points)]
    crossings = sum(
        a["y"] == c["y"] and (a["x"] - c["x"]) * (b["x"] - d["x"]) < 0
        for i, (a, b) in enumerate(segments) for c, d in segments[:i]
    )  # fmt: skip
    assert crossings == 0  # a chain of blocks can be drawn without
    browser.press("END")
    texts = browser.run(
        "return shown.items.flatMap(({ w, texts }) => texts.map((t) => [t.getComputedTextLength(), w, t.textContent]))"
    )
    assert [text for text in texts if text[0] > text[1]] == []


def test_the_table_says_the_same(browser, small):
    path, leaves, _ = small
    browser.open(path)
    browser.click("summary")
    rows = browser.run("return [...document.querySelectorAll('tbody tr')].map((row) => row.innerText)")
    assert len(rows) == 4
    assert f"a += {leaves['a'].grad.item() - 0.5 * 0.419974:.4f}" in re.sub(r"(\.\d{4})\d*", r"\1", rows[3])
    assert browser.find("tbody").is_displayed()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_readable(browser, small, dark):
    browser.open(small[0], dark=dark)
    browser.press("END")
    pairs = browser.run(
        "const of = (s, p) => getComputedStyle(document.querySelector(s))[p];"
        "const paper = of('body', 'backgroundColor'), full = of('.node.full rect', 'fill');"
        "return [[of('body', 'color'), paper], [of('.quiet', 'color'), paper], [of('.node.full .title', 'fill'), full],"
        "[of('.node.full .gradient', 'fill'), full], [of('.node.full .value', 'fill'), full]]"
    )
    assert (pairs[0][1] == "rgb(255, 255, 255)") is not dark
    assert all(contrast(*pair) >= 4.5 for pair in pairs), [(pair, contrast(*pair)) for pair in pairs]


@pytest.mark.parametrize("width", [1280, 500])
def test_it_fits_the_window_and_is_not_blank(browser, deep, tmp_path, width):
    browser.open(deep, width=width)
    browser.press("n", "n", "n")
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    picture = np.asarray(Image.open(browser.picture(tmp_path / "page.png")).convert("L"), dtype=float)
    assert picture.std() > 10


def test_a_notebook_shows_it_in_a_frame(browser, tmp_path):
    x = minidl.tensor(3.0, requires_grad=True)
    page = viz.graph(x * x, names={"x": x})
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><body>{page._repr_html_()}</body>")
    browser.open(path)
    browser.driver.switch_to.frame(browser.find("iframe"))
    browser.click("#end")
    assert gradient_line(browser, "x") == "∂ 6"
    browser.driver.switch_to.default_content()
    assert browser.errors() == []
