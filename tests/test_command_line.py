"""`python -m minidl`, as a user sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

import minidl
from minidl import certificate
from minidl.__main__ import main
from minidl.gradcheck import Case, call


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "minidl", *arguments], capture_output=True, text=True)


def test_info_says_what_is_in_use():
    result = run("info")
    assert result.returncode == 0
    for word in ("kernels", "instruction set", "OpenMP", "threads", "CuPy", "numpy", "python"):
        assert word in result.stdout


def test_info_without_kernels(monkeypatch):
    monkeypatch.setenv("MINIDL_KERNELS", "off")
    assert "plain NumPy reference (switched off" in run("info").stdout


def test_gradcheck_of_one_operation(capsys):
    assert main(["gradcheck", "mul"]) == 0
    assert "every gradient proven" in capsys.readouterr().out


def test_unknown_operation(capsys):
    assert main(["gradcheck", "mull"]) == 2
    message = capsys.readouterr().err
    assert "such as mul" in message and "'mull'" in message and "--module" in message
    assert "conv2d" not in message  # no wall of names


def test_an_operation_from_a_module_of_the_users(tmp_path):
    (tmp_path / "my_ops.py").write_text(
        "from minidl.gradcheck import call, cases\n"
        "def thrice(x):\n    return x * 3\n"
        "cases(thrice, lambda x: x + x + x, {'any': lambda rng: call(rng.normal(size=3))})\n"
    )

    def check(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "minidl", "gradcheck", "thrice", *arguments]
        path = os.pathsep.join([str(Path(minidl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
        )

    found = check("--module", "my_ops")
    assert found.returncode == 0 and "1 operation, 1 case: every gradient proven" in found.stdout
    assert check().returncode == 2
    missing = check("--module", "my_ops.py")
    assert missing.returncode == 2 and "leave .py out" in missing.stderr and "Traceback" not in missing.stderr


def test_failure_is_exit_status_1(monkeypatch, capsys):
    def twice(x):
        return x * 2

    wrong = Case(twice, "planted", lambda r: call(r.normal(size=3)), lambda x: x * 3)
    monkeypatch.setattr(certificate, "registry", [wrong])
    assert main(["gradcheck"]) == 1
    assert "differs from the oracle" in capsys.readouterr().out


def test_a_page_that_cannot_be_written_is_said_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["gradcheck", "neg", "--html", str(tmp_path / "file" / "page.html")]) == 2
    assert "can be written" in capsys.readouterr().err


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.figures, self.links = 0, 0, []

    def handle_starttag(self, tag, attributes):
        self.rows += tag == "tr"
        self.figures += tag == "figure"
        self.links += [v for k, v in attributes if k in ("src", "href") and not v.startswith("#")]


def test_the_page(tmp_path, capsys):
    path = tmp_path / "certificate.html"
    assert main(["gradcheck", "mul", "matmul", "argmax", "--html", str(path)]) == 0
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.rows == 4 and page.figures == 2 * 3 and not page.links  # argmax has no gradient to draw
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert all(ElementTree.fromstring(svg).findall("rect") for svg in pictures)
    # The Jacobian of a product, element by element, is diagonal: most squares are white, some are not.
    colours = re.findall(r'fill="(#[0-9a-f]{6})"', pictures[0])
    assert 0 < len([c for c in colours if c != "#ffffff"]) <= 12


def test_show_config_prints(capsys):
    minidl.show_config()
    assert "instruction set" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["gradcheck", "--order", "9"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
