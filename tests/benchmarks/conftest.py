from __future__ import annotations

import sys
from pathlib import Path

# The benchmarks stand beside the package and are not installed. At the end of the path: an installed minidl wins.
sys.path.append(str(Path(__file__).parents[2]))
