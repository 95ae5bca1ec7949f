"""A real browser for the tests of pages: Chromium, driven by Selenium.

Debian: ``apt-get install chromium chromium-driver``, then ``pip install selenium``. ``MINIDL_BROWSER=require`` turns a
missing browser from a skipped test into a failed one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

# Nothing of this talks to the network by itself, and each run begins with an empty profile.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


def missing_browser() -> str:
    """What is missing to drive a browser; empty if nothing is."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


class Browser:
    """A page in Chromium: open, press, click, read."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def close(self) -> None:
        self.driver.quit()
        self._profile.cleanup()

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a file in a window of this size; forget what earlier pages logged."""
        self.driver.set_window_size(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.driver.get("about:blank")  # an empty tab has pictures of its own, which may still be on their way
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        from selenium.webdriver.common.by import By

        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def hover(self, selector: str, dx: float = 0, dy: float = 0) -> None:
        """Put the pointer on the middle of an element, or beside it by some pixels."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).move_to_element_with_offset(self.find(selector), dx, dy).perform()

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as on a keyboard: letters, or names such as ``ARROW_DOWN``."""
        from selenium.webdriver import ActionChains
        from selenium.webdriver.common.keys import Keys

        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(getattr(Keys, key) if len(key) > 1 else key)
        chain.perform()

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def focused(self) -> dict[str, str]:
        """The element that has the focus: its id, its data-id, and how its outline looks."""
        return self.run(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "return {id: e.id, node: e.dataset.id || '', outline: s.outlineStyle, width: s.outlineWidth}"
        )

    def errors(self) -> list[str]:
        """Messages of the console, apart from plain information."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def requests(self) -> list[str]:
        """Addresses that the page asked for, its own among them."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def picture(self, path: Path) -> Path:
        """A screenshot."""
        self.driver.save_screenshot(str(path))
        return path


def start_browser() -> Browser:
    """A browser, or a skipped test, or a failed one where it is required."""
    missing = missing_browser()
    if missing and os.environ.get("MINIDL_BROWSER") == "require":
        pytest.fail(f"MINIDL_BROWSER=require, but {missing}")
    if missing:
        pytest.skip(f"no browser: {missing}")
    return Browser()


def luminance(colour: str) -> float:
    """Relative luminance of an ``rgb(…)`` colour. Source: WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    channels = [int(float(part)) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, from 1 to 21; text needs 4.5."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
