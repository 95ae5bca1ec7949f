"""Write `cupy_signatures.json`: what the installed CuPy's functions and methods take. ``python make_signatures.py``"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_signatures.json")

# What an engine on arrays may call; a name that is missing here is refused by the stand-in.
FUNCTIONS = """
abs add all any bitwise_and bitwise_not bitwise_or bitwise_xor isinf arange argmax argmin argsort array asarray
ascontiguousarray asnumpy broadcast_to ceil clip concatenate
copy cos cumprod cumsum diagonal einsum empty empty_like equal exp expand_dims expm1 eye flip floor full full_like
from_dlpack greater greater_equal isfinite isnan less less_equal linspace log log1p log2 logical_and logical_not
logical_or
logical_xor matmul maximum mean minimum moveaxis multiply negative not_equal ones ones_like pad power prod promote_types
repeat reshape result_type roll round sign sin sort sqrt square squeeze stack subtract sum swapaxes take take_along_axis
tanh tensordot tile transpose tril triu true_divide unique var where zeros zeros_like nonzero searchsorted cross
trace max min
""".split()
METHODS = """
all any argmax argmin argsort astype clip copy cumsum cumprod diagonal dot fill flatten get item max mean min nonzero
prod
ravel repeat reshape round searchsorted set sort squeeze std sum swapaxes take tolist trace transpose var view
""".split()


def parameters_of(name: str, function: Any) -> str:
    """The parameters as one writes them, with None for every default. A ufunc takes few of NumPy's options."""
    if type(function).__name__ == "ufunc":
        return ", ".join(["x", "y", "z"][: function.nin]) + ", /, out=None, *, dtype=None, casting=None"
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        signature = _documented(name, function)
    plain = [p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None)
             for p in signature.parameters.values()]  # fmt: skip
    return str(inspect.Signature(plain))[1:-1]


def _documented(name: str, function: Any) -> inspect.Signature:
    """Cython leaves the signature in the first line of the documentation."""
    declared = re.search(rf"{name}\((.*?)\)(?: ->|$)", (function.__doc__ or "").splitlines()[0])
    if declared is None:
        raise ValueError(f"{name}: no signature in {function.__doc__!r}")
    plain = [re.sub(r"^(?:_ndarray_base|Py_ssize_t|int|bint) (?=\w)", "", each) for each in declared[1].split(", ")]
    scope: dict[str, Any] = {}
    exec(f"def function({', '.join(plain)}): ...", scope)
    return inspect.signature(scope["function"])


def collect() -> dict[str, Any]:
    """The table for the installed CuPy."""
    import cupy

    return {
        "version": cupy.__version__,
        "functions": {name: parameters_of(name, getattr(cupy, name)) for name in sorted(FUNCTIONS)},
        "methods": {name: parameters_of(name, getattr(cupy.ndarray, name)) for name in sorted(METHODS)},
    }


if __name__ == "__main__":
    rows = collect()
    lines = [f'"version": {json.dumps(rows["version"])}']
    for kind in ("functions", "methods"):
        each = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in rows[kind].items())
        lines.append(f'"{kind}": {{\n  {each}\n }}')
    FILE.write_text("{\n " + ",\n ".join(lines) + "\n}\n")
