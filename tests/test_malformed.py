"""Laws of malformed inputs: each of some 800 ends in a clear error; none is accepted, none hangs, none is a traceback.

The table is in `malformed.py`; `python -m tests.malformed` prints its counts.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.malformed import Case, cases, judged

TABLE = cases()
FAMILIES = sorted({case.family for case in TABLE})


def test_the_table_is_large_and_names_every_case_once() -> None:
    twice = [name for name, count in Counter((case.family, case.name) for case in TABLE).items() if count > 1]
    assert len(TABLE) >= 400 and twice == []


@pytest.mark.parametrize("family", FAMILIES)
def test_malformed_inputs_end_in_clear_errors(family: str, tmp_path: Path) -> None:
    wrong: list[tuple[Case, str, str]] = []
    of_family = [case for case in TABLE if case.family == family]
    for number, case in enumerate(of_family):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcome, message = judged(case, folder)
        if outcome != "clear":
            wrong.append((case, outcome, message))
    shown = "\n".join(f"{outcome}: {case.name}: {message[:300]}" for case, outcome, message in wrong)
    assert not [outcome for _, outcome, _ in wrong if outcome != "unclear"], shown
    assert len(wrong) <= 0.05 * len(of_family), shown
