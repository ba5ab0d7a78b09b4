"""Laws of measure: arrays by key, contradictions refused, unknowns kept apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elicit.errors import DataError, StageError
from elicit.evaluate.measures.measure import MISSING, READINGS, UNGRADED, measure
from elicit.files import read_rows, shards, write_rows
from tests.evaluate.simulated import items, rates, store


def test_arrays_hold_what_the_rows_say_in_the_order_of_the_items(tmp_path: Path) -> None:
    found = items(20)
    samples, grades = store(tmp_path, "p", found, rates(found, 0.5), 6, ungraded=0.1, truncated=0.1)
    order = [found[i] for i in np.random.default_rng(0).permutation(20)]
    m = measure(samples, grades, order)
    rows = {(row["item"], row["j"]): row for row in read_rows(shards(grades))}
    for i, item in enumerate(order):
        for j in range(6):
            row = rows[item.id, j]
            assert m.strict_N_J[i, j] == {True: 1, False: 0, None: UNGRADED}[row["strict"]]
            code = m.classes_N_J[i, j]
            assert (None if code < 0 else m.class_names[code]) == row["answer_class"]
    assert m.items == tuple(item.id for item in order)


def test_a_missing_sample_is_seen_and_stays_in_n(tmp_path: Path) -> None:
    found = items(20)
    m = measure(*store(tmp_path, "p", found, rates(found, 0.5), 6, missing=0.2), found)
    gone = int((m.strict_N_J == MISSING).sum())
    assert gone > 0 and (m.total_N == 6).all()


def test_fewer_samples_are_the_first_ones(tmp_path: Path) -> None:
    found = items(20)
    folders = store(tmp_path, "p", found, rates(found, 0.5), 8)
    assert np.array_equal(measure(*folders, found, 4).strict_N_J, measure(*folders, found).strict_N_J[:, :4])


def test_unsampled_ungraded_and_half_graded_folders_are_refused(tmp_path: Path) -> None:
    found = items(40)
    samples, grades = store(tmp_path, "p", found[:20], rates(found[:20], 0.5), 4)
    with pytest.raises(StageError, match="generate them first"):
        measure(samples, grades, found[20:])
    with pytest.raises(StageError, match="grade first"):
        measure(samples, tmp_path / "nowhere", found[:20])
    shards(grades)[0].unlink()
    with pytest.raises(StageError, match="samples without a grade"):
        measure(samples, grades, found[:20])


def test_every_reading_accepts_what_the_one_before_accepts(tmp_path: Path) -> None:
    """Whatever the graders say: here they are drawn at random, so that first and last declarations contradict."""
    found, rng = items(30), np.random.default_rng(5)
    samples, grades = store(tmp_path, "p", found, rates(found, 0.5), 8, ungraded=0.05, missing=0.05)
    for shard in shards(grades):
        rows = [{**row, "first": bool(rng.random() < 0.5), "lenient": bool(rng.random() < 0.5)}
                for row in read_rows([shard])]  # fmt: skip
        rows[0]["first"] = None
        write_rows(shard, rows)
    m = measure(samples, grades, found)
    strict, lenient, loose = (m.read(reading) for reading in READINGS)
    assert ((strict == 1) & (lenient >= 0) <= (lenient == 1)).all() and (
        (lenient == 1) & (loose >= 0) <= (loose == 1)
    ).all()
    assert np.array_equal(strict, m.strict_N_J) and set(np.unique(loose)) == {MISSING, UNGRADED, 0, 1}
    rows = {(row["item"], row["j"]): row for row in read_rows(shards(grades))}
    for i, item in enumerate(found):
        for j in range(8):
            row = rows.get((item.id, j))
            known = row is not None and None not in (row["strict"], row["lenient"], row["first"])
            accepted = known and (row["strict"] or row["lenient"] or row["first"])
            assert loose[i, j] == (accepted if known else MISSING if row is None else UNGRADED)


def test_grades_of_older_files_have_no_first_declaration(tmp_path: Path) -> None:
    found = items(10)
    samples, grades = store(tmp_path, "p", found, rates(found, 0.5), 4)
    for shard in shards(grades):
        write_rows(shard, [{k: v for k, v in row.items() if k != "first"} for row in read_rows([shard])])
    m = measure(samples, grades, found)
    assert m.first_N_J is None and m.at([0]).first_N_J is None
    with pytest.raises(DataError, match="grade again"):
        m.read("any")


def test_the_certainty_of_older_samples_is_not_taken_for_self_certainty(tmp_path: Path) -> None:
    """Their column `certainty` holds the top-20 confidence; what has both takes the self-certainty."""
    found = items(10)
    samples, grades = store(tmp_path, "p", found, rates(found, 0.5), 4)
    rows = {(row["item"], row["j"]): row["self_certainty"] for row in read_rows(shards(samples))}
    m = measure(samples, grades, found)
    assert m.certainty_N_J is not None
    for place, item in enumerate(found):
        assert m.certainty_N_J[place].tolist() == [rows[item.id, j] for j in range(4)]
    for shard in shards(samples):
        older = [{k: v for k, v in row.items() if k != "self_certainty"} for row in read_rows([shard])]
        write_rows(shard, [{**row, "certainty": row.pop("confidence")} for row in older])
    assert measure(samples, grades, found).certainty_N_J is None


def test_two_rows_of_one_key_are_refused(tmp_path: Path) -> None:
    found = items(10)
    samples, grades = store(tmp_path, "p", found, rates(found, 0.5), 4)
    write_rows(samples / "shard-again.parquet", read_rows(shards(samples))[:3])
    with pytest.raises(DataError, match="3 rows share"):
        measure(samples, grades, found)


def test_a_broken_shard_is_named_with_its_mend(tmp_path: Path) -> None:
    found = items(10)
    samples, grades = store(tmp_path, "p", found, rates(found, 0.5), 4)
    (samples / "shard-zzz.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match=r"shard-zzz.*delete it"):
        measure(samples, grades, found)
