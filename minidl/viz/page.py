"""Self-contained pages: HTML, style and script from `assets/`, the data inside, and no request to anywhere."""

from __future__ import annotations

import html
import json
import os
from importlib import resources
from typing import Any

from minidl.errors import OptionError
from minidl.io.atomic import write_atomically

__all__ = ["LARGEST", "Page", "build_page"]

LARGEST = 1_000_000
"""Bytes of a page at most."""


class Page:
    """A page to play with: `save` writes it; in a notebook it shows itself.

    Attributes
    ----------
    html : str
        The whole page.
    title : str
    """

    def __init__(self, title: str, html: str) -> None:
        self.title = title
        self.html = html

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one file."""
        write_atomically(path, self.html.encode())

    def _repr_html_(self) -> str:
        # A frame of its own: neither the notebook's style nor its scripts meet those of the page.
        return (
            f'<iframe title="{html.escape(self.title)}" srcdoc="{html.escape(self.html)}" '
            'style="width: 100%; height: 44rem; border: 1px solid #8888"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<Page {self.title!r}, {len(self.html) / 1000:.0f} kB>"


def build_page(name: str, scripts: list[str], title: str, data: Any, table: str) -> Page:
    """Put a page together.

    Parameters
    ----------
    name : str
        Of the assets ``<name>.html`` and ``<name>.css``; ``common.css`` comes first.
    scripts : list of str
        The script assets, in order.
    title : str
    data : object
        What the scripts find as JSON.
    table : str
        HTML of the table that says the same without a picture.

    Raises
    ------
    OptionError
        If the page would be larger than a megabyte.
    """
    # Inside a script element, "</script" would end the data.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "{{style}}": _asset("common.css") + _asset(f"{name}.css"),
        "{{table}}": table,
        "{{data}}": text,
        "{{script}}": "\n".join(_asset(script) for script in scripts),
    }
    page = _asset(f"{name}.html").replace("{{title}}", html.escape(title))
    for place, content in parts.items():
        before, found, after = page.partition(place)
        assert found, f"{name}.html has no {place}"
        page = before + content + after
    if len(page.encode()) > LARGEST:
        raise OptionError(
            f"viz.{name}", expected="a page of at most one megabyte", actual=f"{len(page.encode()) / 1e6:.1f} MB",
            hint="draw less at once: a part of the computation, fewer channels, or a smaller picture",
        )  # fmt: skip
    return Page(title, page)


def _asset(name: str) -> str:
    return resources.files("minidl.viz").joinpath("assets").joinpath(name).read_text(encoding="utf-8")
