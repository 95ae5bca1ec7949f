"""The convolution player without a browser: the data of the page are the layer's and the engine's."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import minidl
from minidl import nn, viz
from minidl.errors import OptionError, ShapeError


def data_of(page) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.S).group(1))


LAYERS = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"groups": 2, "bias": False},
    {"kernel_size": (2, 4), "padding": "same"},
    {"stride": (1, 2), "padding": (0, 2), "dilation": (2, 1)},
]


def output_by_loops(data: dict) -> np.ndarray:
    """What the page's data say, convolved by plain loops over the padded picture."""
    top, left, bottom, right = data["padding"]
    x = np.array(data["input"]).reshape(data["channels"], data["height"], data["width"])
    x = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    kh, kw = data["kernel"]
    w = np.array(data["weight"]).reshape(data["outputs"], -1, kh, kw)
    y = np.zeros((data["outputs"], data["outHeight"], data["outWidth"]))
    per_group, share = w.shape[1], data["outputs"] // data["groups"]
    for o, i, j, c, k, m in np.ndindex(*y.shape, per_group, kh, kw):
        row, column = i * data["stride"][0] + k * data["dilation"][0], j * data["stride"][1] + m * data["dilation"][1]
        y[o, i, j] += w[o, c, k, m] * x[o // share * per_group + c, row, column]
    return y + (0 if data["bias"] is None else np.array(data["bias"])[:, None, None])


@pytest.mark.parametrize("options", LAYERS, ids=str)
def test_the_data_add_up_to_the_output(options):
    minidl.manual_seed(0)
    layer = nn.Conv2d(2, 4, **{"kernel_size": 3, **options})
    picture = minidl.randn(2, 7, 8)
    data = data_of(viz.conv_player(layer, picture))
    expected = layer(picture.unsqueeze(0)).detach().numpy()[0]
    found = np.array(data["output"]).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(output_by_loops(data), expected, atol=1e-5)


@pytest.mark.parametrize(
    "picture", [np.eye(5), np.eye(5)[None], np.eye(5)[None, None], minidl.tensor(np.eye(5)), np.eye(5, dtype=np.uint8)]
)
def test_pictures_come_in_several_forms(picture):
    data = data_of(viz.conv_player(np.ones((2, 2)), picture))
    assert data["channels"] == 1 and data["outputs"] == 1 and data["bias"] is None
    assert data["output"][0] == [2, 1, 0, 0, 1, 2, 1, 0, 0, 1, 2, 1, 0, 0, 1, 2]


def test_the_page(tmp_path):
    path = tmp_path / "page.html"
    page = viz.conv_player(nn.Conv2d(1, 2, 3), np.eye(6), path, title="A <small> one")
    text = path.read_text()
    assert text == page.html and "{{" not in text and "A &lt;small&gt; one" in text
    assert not re.search(r"(src|href)=|https?://", text)
    rows = re.search(r"<tbody>(.*)</tbody>", text, re.S).group(1)
    assert rows.count("<td>") == 16
    assert "<iframe" in page._repr_html_() and "kB>" in repr(page)


def test_numbers_that_are_not_finite_are_written_as_words():
    picture = np.eye(4)
    picture[0, 0] = np.inf
    picture[3, 3] = np.nan
    data = data_of(viz.conv_player(np.ones((2, 2)), picture))
    assert data["input"][0][0] == "inf" and data["input"][0][15] == "nan"


@pytest.mark.parametrize(
    ("layer", "picture", "error", "words"),
    [
        (np.ones((2, 2)), np.zeros((3, 1, 5, 5)), ShapeError, r"pictures\[0\]"),
        (np.ones((2, 2)), np.zeros(5), ShapeError, "one picture"),
        (np.ones(3), np.eye(5), ShapeError, "kernels"),
        (np.ones((1, 3, 2, 2)), np.eye(5), ShapeError, "channel"),
        (np.ones((1, 1, 2, 2)), np.zeros((400, 400)), OptionError, "smaller picture"),
    ],
)
def test_what_cannot_be_shown(layer, picture, error, words):
    with pytest.raises(error, match=words):
        viz.conv_player(layer, picture)
