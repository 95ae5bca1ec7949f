"""The gradient certificate as a page: the table, and a heat map of analytic against numeric Jacobian by operation."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidl.autograd import grad
from minidl.certificate import Report, floats_of, invoke
from minidl.gradcheck import Call, Case, registry
from minidl.io.atomic import write_atomically
from minidl.tensor import Tensor

__all__ = ["Jacobians", "jacobians", "write_certificate_page"]

_LARGEST = 24
_EPS = 1e-6


@dataclass
class Jacobians:
    """∂y_j/∂x_i of the first input and output of a case, both ways; rows are inputs, columns outputs."""

    analytic: np.ndarray
    numeric: np.ndarray


def jacobians(case: Case, seed: int = 0) -> Jacobians | None:
    """The upper left part (24 × 24 at most) of both Jacobians; None where there is nothing to differentiate."""
    call = case.sample(np.random.default_rng(seed))
    arrays = floats_of(call)
    if case.order == 0 or not arrays or not arrays[0].size:
        return None
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    y = invoke(case, call, leaves)[0]
    rows, columns = min(arrays[0].size, _LARGEST), min(y.size, _LARGEST)
    analytic = np.zeros((rows, columns))
    for j in range(columns):
        one = np.zeros(y.shape)
        one.reshape(-1)[j] = 1.0
        (found,) = grad(y, leaves[0], one, retain_graph=True, allow_unused=True)
        analytic[:, j] = 0.0 if found is None else found.data.reshape(-1)[:rows]
    numeric = np.stack([_slope(case, call, arrays, i)[:columns] for i in range(rows)])
    return Jacobians(analytic, numeric)


def _slope(case: Case, call: Call, arrays: list[np.ndarray], i: int) -> np.ndarray:
    """Central difference of all outputs along element i of the first input."""
    sides = []
    for sign in (1.0, -1.0):
        moved = arrays[0].copy()
        moved.reshape(-1)[i] += sign * _EPS
        sides.append(np.asarray(invoke(case, call, [Tensor(a) for a in [moved, *arrays[1:]]])[0].data).reshape(-1))
    return (sides[0] - sides[1]) / (2 * _EPS)


def _colour(value: float, largest: float) -> str:
    """Blue for negative, orange for positive, white for zero: told apart by colour-blind readers, too."""
    strength = min(abs(value) / largest, 1.0) if largest > 0 else 0.0
    end = (213, 94, 0) if value > 0 else (0, 114, 178)
    return "#" + "".join(f"{round(255 + (c - 255) * strength):02x}" for c in end)


def _heat_map(values: np.ndarray, largest: float, title: str) -> str:
    cell = 9
    rows, columns = values.shape
    squares = "".join(
        f'<rect x="{j * cell}" y="{i * cell}" width="{cell}" height="{cell}" fill="{_colour(values[i, j], largest)}">'
        f"<title>x[{i}], y[{j}]: {values[i, j]:.6g}</title></rect>"
        for i in range(rows)
        for j in range(columns)
    )
    return (
        f'<figure><svg width="{columns * cell + 1}" height="{rows * cell + 1}" role="img" aria-label="{title}">'
        f'{squares}<rect width="{columns * cell}" height="{rows * cell}" fill="none" stroke="#888"/></svg>'
        f"<figcaption>{title}</figcaption></figure>"
    )


def _details(report: Report) -> str:
    parts = [f"<li>{html.escape(failure)}</li>" for failure in report.failures]
    text = f"<ul>{''.join(parts)}</ul>" if parts else ""
    pictured = next((c for c in registry if c.name == report.name and c.order > 0), None)
    found = None
    if pictured is not None and not report.failures:
        found = jacobians(pictured)
    if pictured is None or found is None:
        return text or "<p>No gradient: the value alone is checked.</p>"
    largest = float(np.abs(found.numeric).max())
    difference = np.abs(found.analytic - found.numeric)
    return (
        f"{text}<p>Case “{html.escape(pictured.label)}”: ∂y<sub>j</sub>/∂x<sub>i</sub>, rows are elements of the "
        f"first input, columns of the output (at most {_LARGEST} each). Largest difference {difference.max():.1e}.</p>"
        '<div class="maps">'
        + _heat_map(found.analytic, largest, "analytic")
        + _heat_map(found.numeric, largest, "numeric")
        + _heat_map(difference, largest, "difference, same scale")
        + "</div>"
    )


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.failed { color: #a30000; font-weight: bold; }
summary { cursor: pointer; padding: .3rem 0; }
.maps { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { margin: 0; }
figcaption { color: #555; font-size: .85rem; }
"""


def write_certificate_page(reports: Sequence[Report], path: str | os.PathLike[str]) -> None:
    """Write the certificate as one self-contained page.

    Parameters
    ----------
    reports : sequence of Report
        From `minidl.certificate.certify`.
    path : path
        The HTML file.
    """
    failed = sum(not report.passed for report in reports)
    verdict = (
        "Every gradient is proven." if not failed else f'<span class="failed">{failed} operation(s) failed.</span>'
    )
    rows = "".join(
        f'<tr><td><a href="#{r.name}">{r.name}</a></td><td class="n">{r.cases}</td>'
        f"<td>{'value' if not r.order else '1' if r.order == 1 else f'1–{r.order}'}</td>"
        f'<td class="n">{f"{r.error:.1e}" if r.order else "–"}</td><td>{", ".join(r.backends)}</td>'
        f"<td>{'proven' if r.passed else '<span class=failed>failed</span>'}</td></tr>"
        for r in reports
    )
    details = "".join(
        f'<details id="{r.name}"{"" if r.passed else " open"}><summary>{r.name}</summary>{_details(r)}</details>'
        for r in reports
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>minidl: gradient certificate</title><style>{_STYLE}</style></head><body>"
        f"<h1>Gradient certificate</h1><p>{verdict} {len(reports)} operations, {sum(r.cases for r in reports)} cases. "
        "Each gradient is compared with central differences in float64, at every order shown; the error is the largest "
        "relative one.</p><table><thead><tr><th>operation</th><th>cases</th><th>orders</th><th>worst error</th>"
        "<th>backends</th><th>verdict</th></tr>"
        f"</thead><tbody>{rows}</tbody></table><h2>Analytic against numeric</h2>"
        "<p>Orange is positive, blue negative, white zero. Point at a square to read its value.</p>"
        f"{details}"
        "<script>addEventListener('hashchange',()=>{const d=document.getElementById(location.hash.slice(1));"
        "if(d)d.open=true})</script></body></html>"
    )
    write_atomically(path, page.encode())
