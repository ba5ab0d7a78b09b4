"""The rating packet: blinded, complete, written once; ratings come back to their policies and items."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from elicit.commands.study import rated
from elicit.errors import DataError
from elicit.studies.packet import KEY, PAGE, RATINGS, Trace, differences, ratings, write_packet

TRACES = [
    Trace(policy, f"item{k}", f"Is {k} < 3?", f" Step {k} of <{word}>.")
    for k in range(12)
    for policy, word in (("star", "one"), ("star_shuffled", "two"))
]


def filled(folder: Path, give: dict[str, float], raters: tuple[str, ...] = ("a",)) -> None:
    """Every trace rated by every rater with the number of its policy."""
    with (folder / KEY).open(encoding="utf-8") as lines:
        key = {row["trace"]: row["policy"] for row in csv.DictReader(lines)}
    rows = [f"{rater},{trace},{give[policy]}" for rater in raters for trace, policy in key.items()]
    (folder / RATINGS).write_text("rater,trace,legible\n" + "\n".join(rows) + "\n", encoding="utf-8")


def test_raters_see_every_trace_and_no_policy_and_the_key_knows_each(tmp_path: Path) -> None:
    write_packet(TRACES, tmp_path)
    page = (tmp_path / PAGE).read_text("utf-8")
    assert page.count("<h2>") == len(TRACES) and "star" not in page and "<one>" not in page and "&lt;one&gt;" in page
    with (tmp_path / KEY).open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert sorted((row["policy"], row["item"]) for row in rows) == sorted((one.policy, one.item) for one in TRACES)
    assert [row["policy"] for row in rows] != [one.policy for one in TRACES]
    assert "star" not in (tmp_path / RATINGS).read_text("utf-8") and ratings(tmp_path) == {}


def test_a_packet_is_never_written_over_its_ratings(tmp_path: Path) -> None:
    write_packet(TRACES, tmp_path)
    filled(tmp_path, {"star": 6, "star_shuffled": 2})
    write_packet(TRACES[:4], tmp_path)
    assert len(ratings(tmp_path)) == len(TRACES)
    with pytest.raises(DataError, match="no trace to rate"):
        write_packet([], tmp_path / "empty")


def test_ratings_are_averaged_by_trace_and_compared_by_item(tmp_path: Path) -> None:
    write_packet(TRACES, tmp_path)
    filled(tmp_path, {"star": 6, "star_shuffled": 2}, ("a", "b"))
    assert differences(tmp_path, "star_shuffled", "star") == {f"item{k}": -4 for k in range(12)}
    found = rated(tmp_path, "star_shuffled", "star")
    assert found.point == pytest.approx(-4) and found.refused is None


def test_without_ratings_there_is_a_refusal_and_no_number(tmp_path: Path) -> None:
    assert "0 items are rated" in str(rated(tmp_path / "none", "a", "b").refused)
    write_packet(TRACES, tmp_path)
    assert "0 items are rated" in str(rated(tmp_path, "star", "star_shuffled").refused)


@pytest.mark.parametrize("line", ["a,1,9", "a,99,3", "a,one,3"])
def test_an_odd_rating_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    write_packet(TRACES, tmp_path)
    (tmp_path / RATINGS).write_text(f"rater,trace,legible\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        ratings(tmp_path)
