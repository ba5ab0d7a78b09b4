"""What of a study is frozen before its first sample: endpoints, preconditions and rule, without their wording.

It is a part of the plan that a comparison freezes (evaluate/comparison/prereg.py): another rule in the same group is
refused there, so that no rule can be fitted to its result unseen.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from elicit.studies.study import Study


def frozen(study: Study) -> dict[str, Any]:
    """Plain data."""
    return {
        "endpoints": {key: [one.read, list(one.policies)] for key, one in study.endpoints.items()},
        "preconditions": [asdict(one) for one in study.preconditions],
        "rule": [asdict(one) for one in study.rule],
    }
