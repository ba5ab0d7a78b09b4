"""Preregistration: a hashed plan, written before the first test sample.

The plan (primary family, prompts, budgets, exclusions) is plain data. `freeze` writes it once; another plan
in the same folder is refused. The report says "frozen before" only if the file is older than the first
test sample of any method or control, and unaltered. What it does not stop: someone who backdates both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from elicit.errors import StageError
from elicit.files import content_hash, locked, read_json, write_json

FILE = "preregistration.json"


def freeze(plan: dict[str, Any], folder: Path, now: float) -> str:
    """Write the plan with its hash and the time; returns the hash. The same plan again changes nothing.

    `now`: of the clock that samples are dated by, which never runs backwards (`files.ordered_time` of the store).
    """
    path = Path(folder) / FILE
    digest = content_hash(plan)
    with locked(Path(folder)):
        if path.exists():
            changed = _changed(_checked(path)["plan"], plan)
            if changed:
                raise StageError(
                    f"{path}: the plan was frozen, and now differs in {', '.join(changed)}; give the new plan a "
                    "name of its own: group=NAME"
                )
        else:
            write_json(path, {"plan": plan, "hash": digest, "frozen_at": now})
    return digest


def status(folder: Path, first_sample_time: float | None) -> str:
    """ "before" or "after": whether the plan was frozen before the first test sample (epoch seconds).

    Without a plan, or if the time of the first sample is unknown: "after". Raises StageError on an altered plan.
    """
    path = Path(folder) / FILE
    if not path.exists() or first_sample_time is None:
        return "after"
    return "before" if _checked(path)["frozen_at"] < first_sample_time else "after"


def _checked(path: Path) -> dict[str, Any]:
    frozen = read_json(path)
    if content_hash(frozen.get("plan")) != frozen.get("hash"):
        raise StageError(f"{path}: the plan was altered after it was frozen (its hash differs); use another group name")
    return frozen


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    plain = json.loads(json.dumps(new, default=str))
    return [key for key in sorted(set(old) | set(plain)) if old.get(key) != plain.get(key)]
