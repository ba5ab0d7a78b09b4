"""The calibration files that ship with the workbench, and whether they are of this very code.

    simulated.json    `elicit calibrate simulated=true out=elicit/evaluate/calibration/simulated.json`
    organisms.json    `elicit calibrate out=elicit/evaluate/calibration/organisms.json`, if it was run

A comparison holds both, so that a report can print them next to its own figures. `current` is false if the
statistics have changed since: then the figures are of another version. Computes nothing.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from elicit import files
from elicit.errors import DataError

SCHEMA = 1
EVALUATE = Path(__file__).resolve().parents[1]
HERE = EVALUATE / "calibration"
_CODE = (
    *("statistics/resamples.py", "statistics/significance.py", "statistics/joint.py"),
    *("metrics/elicitation.py", "metrics/control.py", "metrics/coverage.py", "metrics/accuracy.py", "metrics/split.py"),
    *("metrics/beyond_form.py", "metrics/p_values.py", "metrics/ceilings.py", "measures/measure.py"),
    "../report/verdict.py",
    *("calibration/worlds.py", "calibration/coverage.py", "calibration/nulls.py"),
)


def code_hash() -> str:
    """Hash of the code that the simulated figures depend on: its statements, without imports and docstrings."""
    return files.content_hash([_statements(EVALUATE / name) for name in _CODE])


def _statements(path: Path) -> str:
    """A file's syntax tree as text. A new wording or another place of a file is no other computation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_silent(line)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_silent(line: ast.stmt) -> bool:
    """An import or a string on a line of its own."""
    if isinstance(line, ast.Expr):
        return isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
    return isinstance(line, ast.Import | ast.ImportFrom)


def read(path: Path) -> dict[str, Any] | None:
    """A calibration file with `current`; None if there is none. Raises DataError on another schema."""
    if not Path(path).exists():
        return None
    found = files.read_json(path)
    if found.get("schema") != SCHEMA:
        raise DataError(f"{path}: schema {found.get('schema')!r}, {SCHEMA} is read here; run elicit calibrate again")
    now = files.fingerprint(code=code_hash())["code"]
    return {**found, "current": found.get("fingerprint", {}).get("code") == now}


def load(folder: Path = HERE) -> dict[str, Any]:
    """{"simulated", "organisms"}: what ships, None if it does not."""
    simulated, organisms = read(folder / "simulated.json"), read(folder / "organisms.json")
    if organisms is not None:
        organisms = {key: organisms[key] for key in ("totals", "current")}
    return {"simulated": simulated, "organisms": organisms}
