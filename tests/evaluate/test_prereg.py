"""Laws of preregistration."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from elicit.errors import StageError
from elicit.evaluate.comparison.prereg import FILE, freeze, status
from elicit.files import read_json, write_json

PLAN = {"methods": ["rlvr"], "prompts": ["bare"], "n": 16}


def test_frozen_before_means_older_than_the_first_sample(tmp_path: Path) -> None:
    assert status(tmp_path, time.time()) == "after"
    digest = freeze(PLAN, tmp_path)
    assert status(tmp_path, time.time() + 1) == "before"
    assert status(tmp_path, time.time() - 10) == "after"
    assert status(tmp_path, None) == "after"
    assert read_json(tmp_path / FILE)["hash"] == digest


def test_the_same_plan_again_keeps_its_time_and_another_is_refused(tmp_path: Path) -> None:
    freeze(PLAN, tmp_path)
    before = (tmp_path / FILE).read_bytes()
    freeze(dict(reversed(PLAN.items())), tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    with pytest.raises(StageError, match="another n"):
        freeze({**PLAN, "n": 64}, tmp_path)


def test_an_altered_plan_is_found(tmp_path: Path) -> None:
    freeze(PLAN, tmp_path)
    frozen = read_json(tmp_path / FILE)
    write_json(tmp_path / FILE, {**frozen, "plan": {**PLAN, "n": 4}})
    with pytest.raises(StageError, match="altered"):
        status(tmp_path, time.time())
