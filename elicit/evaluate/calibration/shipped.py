"""The calibration files that ship with the workbench, and whether they are of this very code.

    simulated.json    `elicit calibrate simulated=true out=elicit/evaluate/calibration/simulated.json`
    organisms.json    `elicit calibrate out=elicit/evaluate/calibration/organisms.json`, where it was run

A comparison carries both, so that a report can print them beside its own figures. `current` is false where the
statistics have changed since: then the figures are of another version. Computes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elicit import files
from elicit.errors import DataError

SCHEMA = 1
HERE = Path(__file__).resolve().parent
_CODE = (
    *("statistics.py", "significance.py", "joint.py", "metrics/elicitation.py", "metrics/control.py"),
    *("metrics/coverage.py", "calibration/worlds.py", "calibration/coverage.py", "calibration/nulls.py"),
)


def code_hash() -> str:
    """Hash of the code that the simulated figures depend on."""
    return files.content_hash({name: (HERE.parent / name).read_text(encoding="utf-8") for name in _CODE})


def read(path: Path) -> dict[str, Any] | None:
    """A calibration file with `current`; None where there is none. Raises DataError on another schema."""
    if not Path(path).exists():
        return None
    found = files.read_json(path)
    if found.get("schema") != SCHEMA:
        raise DataError(f"{path}: schema {found.get('schema')!r}, {SCHEMA} is read here; run elicit calibrate again")
    now = files.fingerprint(code=code_hash())["code"]
    return {**found, "current": found.get("fingerprint", {}).get("code") == now}


def load(folder: Path = HERE) -> dict[str, Any]:
    """{"simulated", "organisms"}: what ships, None where it does not."""
    simulated, organisms = read(folder / "simulated.json"), read(folder / "organisms.json")
    if organisms is not None:
        organisms = {key: organisms[key] for key in ("totals", "current")}
    return {"simulated": simulated, "organisms": organisms}
