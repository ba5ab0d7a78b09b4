"""Laws of overlap: whole questions or runs of 13 words, whatever the punctuation; templates are no overlap."""

from __future__ import annotations

from pathlib import Path

from elicit.ledger import Ledger, load_rows, summary
from elicit.ledger.overlap import RUN, OverlapIndex
from elicit.tasks.task import make_item
from tests.toy import ToyTask

LONG = "A baker puts six rolls into each bag and fills eight bags for the market on Sunday. How many rolls?"
SHORT = "What is 17 times 3?"


def index() -> tuple[OverlapIndex, str, str]:
    items = [make_item("t", "test", LONG, "48"), make_item("t", "test", SHORT, "51")]
    return OverlapIndex(items), items[0].id, items[1].id


def plain_runs(text: str, other: str) -> bool:
    """Whether two texts share 13 words in a row, by comparing every pair of positions."""
    a, b = ("".join(c if c.isalnum() else " " for c in t.casefold()).split() for t in (text, other))
    return any(a[i : i + RUN] == b[j : j + RUN] for i in range(len(a) - RUN + 1) for j in range(len(b) - RUN + 1))


def test_a_whole_question_is_found_in_any_text_and_with_any_signs_between_its_words() -> None:
    found, long, short = index()
    assert found.of([f"Once. {LONG.upper().replace(' ', '  ')} And so on."]) == ([long], [long])
    assert found.of(["... what is 17, times 3? It is 51."]) == ([short], [short])
    assert found.of(["What is 17 times 30?", "What is 7 times 3?"]) == ([], [])


def test_a_run_of_thirteen_words_is_found_and_one_of_twelve_is_not() -> None:
    found, long, _ = index()
    told = LONG.split()
    for length in (12, 13, 15):
        part = "so " + " ".join(told[2 : 2 + length]) + " yes"
        assert (found.of([part]).run == [long]) is plain_runs(part, LONG) is (length >= 13)
        assert found.of([part]).exact == []


def test_words_that_several_items_share_are_their_template() -> None:
    shared = "with the number that was given at the very beginning of this long text compute"
    items = [make_item("t", "test", f"{shared} {k}", str(k)) for k in (1, 2)]
    assert OverlapIndex(items).of([f"{shared} 3"]) == ([], [])
    assert OverlapIndex(items[:1]).of([f"{shared} 3"]).run == [items[0].id]


def test_the_ledger_books_the_overlap_of_foreign_text_and_keeps_it(tmp_path: Path) -> None:
    ledger = Ledger(ToyTask(), "toy")
    test = ToyTask().items("test")
    ledger.foreign(f"Solve {test[0].question}, then stop.", "somebody", "MIT")
    ledger.foreign("nothing of the kind", "somebody", "MIT")
    ledger.save(tmp_path / "ledger.jsonl")
    rows = load_rows(tmp_path / "ledger.jsonl")
    assert [row.overlap_exact for row in rows] == [[test[0].id], []]
    assert summary(rows)["overlap_exact"] == summary(rows)["overlap_run"] == 1
    assert not {item for row in rows for item in row.items} & {item.id for item in test}


def test_training_items_are_no_overlap_and_a_file_is_compared_line_by_line(tmp_path: Path) -> None:
    class Origin:
        author, licence = "people", "MIT"

    ledger, toy = Ledger(ToyTask(), "toy"), ToyTask()
    ledger.foreign(toy.items("train")[0].question, "somebody", "MIT")
    path = tmp_path / "critiques.jsonl"
    path.write_text(f'{{"text": "first\\\\n{toy.items("test")[1].question}\\\\nlast"}}\n', encoding="utf-8")
    ledger.foreign_rows(path, lambda number, line: Origin())
    found = {row.source: row.overlap_exact for row in ledger.rows}
    assert found == {"somebody": [], "critiques.jsonl: people": [toy.items("test")[1].id]}


def test_a_ledger_from_before_is_read() -> None:
    from elicit.records import LedgerRow

    old = LedgerRow("m", "train", "train", "h", "-", 1, 1, 0, 0, 0, ["i"])
    assert summary([old])["overlap_run"] == 0
