"""Laws of the result file: what is written is read back, and files of the first version still open."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from elicit.errors import DataError
from elicit.files import read_json
from elicit.results import SCHEMA, Curve, Estimate, read_comparison, write_comparison

FIRST = Path(__file__).parent / "fixtures" / "yesterday" / "comparison_schema1.json"


def numbers(value: Any) -> list[float]:
    """Every finite number below a node of a file of schema 1 that has an interval or a refusal around it."""
    if isinstance(value, dict):
        own = [value[key] for key in ("point", "lo", "hi") if isinstance(value.get(key), int | float)]
        return own + [x for key, inner in value.items() if key not in ("point", "lo", "hi") for x in numbers(inner)]
    return [x for inner in value for x in numbers(inner)] if isinstance(value, list) else []


def test_a_file_of_the_first_version_opens_with_every_estimate_in_it() -> None:
    old, new = read_json(FIRST), read_comparison(FIRST)
    assert [line.id for line in new.lines] == [policy["id"] for policy in old["policies"]]
    for line, policy in zip(new.lines, old["policies"], strict=True):
        held = {x for e in line.values.values() for x in (e.point, e.lo, e.hi) if x is not None}
        missing = [x for x in numbers({k: v for k, v in policy.items() if k != "members"}) if x not in held]
        assert not missing, line.name
        assert line.values["acc/strict"] == Estimate(*(policy["acc"][part] for part in ("point", "lo", "hi")))
        assert (line.number("cost/tokens")) == policy["cost"]["tokens_per_answer"]


def test_what_only_valid_solutions_support_is_read_from_the_first_version_too() -> None:
    for line, policy in zip(read_comparison(FIRST).lines, read_json(FIRST)["policies"], strict=True):
        valid = (policy.get("support") or {}).get("valid")
        if valid is None:
            assert not line.under("support/valid")
            continue
        assert [line.number(f"support/valid/{key}") for key in "PES"] == [valid[key] for key in "PES"]
        assert line.values["support/valid/NDR"] == Estimate(**valid["intervals"]["NDR"])


def test_a_comparison_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    comparison = read_comparison(FIRST)
    write_comparison(comparison, tmp_path / "comparison.json")
    assert read_comparison(tmp_path / "comparison.json") == comparison
    written = read_json(tmp_path / "comparison.json")
    assert written["schema"] == SCHEMA
    assert {"key", "title", "unit", "meaning"} <= set(written["columns"][0]), "the file describes its own columns"


def test_another_schema_and_a_wrong_shape_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    for content, part in (
        ({"schema": 3}, "schema 3"),
        ([], "expected an object"),
        ({"schema": SCHEMA, "group": 4}, "group=4"),
        ({"schema": 1, "policies": []}, "no policies"),
        ({"schema": 1, "policies": [{"id": "a"}]}, "policy 0 has no name, role, acc"),
    ):
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(DataError, match=r"comparison\.json") as fault:
            read_comparison(path)
        assert part in str(fault.value)


def test_a_refusal_and_a_number_without_an_interval_claim_nothing() -> None:
    assert Estimate(0.5, 0.4, 0.6).bounds == (0.5, 0.4, 0.6)
    for value in (Estimate(0.5), Estimate(0.5, 0.4, 0.6, "gap too small"), Estimate(math.nan, 0.0, 1.0), Estimate()):
        assert value.bounds is None
    assert Estimate(3.0).number == 3.0 and Estimate(3.0, refused="r").number is None
    assert Curve((1, 2), (0.1, 0.2), (0.0, 0.1), (0.2, 0.3)).last == Estimate(0.2, 0.1, 0.3)
    assert Curve(refused="n = 1: k needs 2k samples").last == Estimate(refused="n = 1: k needs 2k samples")
    assert Curve().last is None
