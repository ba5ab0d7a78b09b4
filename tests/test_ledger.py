"""The ledger's laws: closed splits, budgets, classes that follow from rows, used items blocked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from elicit.errors import DataError, LedgerError
from elicit.experiment.fit import dev_score
from elicit.files import content_hash
from elicit.ledger import Budget, Ledger, Spent, data_class, load_rows, prompt_rows, refuse_used, summary
from elicit.records import Item
from elicit.tasks.task import PromptFormat
from tests.toy import ToyTask

if TYPE_CHECKING:
    from elicit.policy.policy import Policy


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(ToyTask(), "toy")


def test_test_items_never_open(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="closed"):
        ledger.items("test")


def test_an_empty_split_names_what_to_add() -> None:
    class OnlyTask(ToyTask):
        def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
            return super().items(split, limit, seed) if split == "test" else []

    ledger = Ledger(OnlyTask(), "toy")
    for split in ("train", "dev"):
        with pytest.raises(DataError, match=f"task toy: its split {split} has no items.*add rows"):
            ledger.items(split, limit=4)
    assert ledger.items("train", limit=0) == []
    with pytest.raises(DataError, match="split dev has no items, and a dev score"):
        dev_score(OnlyTask(), ledger)(cast("Policy", None), None)


def test_items_come_without_gold_and_facts(ledger: Ledger) -> None:
    items = ledger.items("train", limit=4)
    assert len(items) == 4 and all(item.gold is None and item.facts == {} for item in items)


def test_a_grade_is_the_strict_grade_and_one_label_bit(ledger: Ledger) -> None:
    item = ledger.items("train", limit=1)[0]
    full = next(i for i in ToyTask().items("train") if i.id == item.id)
    assert ledger.grade(item, ToyTask().gold_completion(full)) is True
    assert ledger.grade(item, ToyTask().corrupted_completion(full)) is False
    assert ledger.spent.labels == 2 and summary(ledger.rows)["label_bits"] == 2


def test_an_item_from_elsewhere_is_refused(ledger: Ledger) -> None:
    foreign = ToyTask().items("train")[0]
    with pytest.raises(LedgerError, match="did not come from this ledger"):
        ledger.grade(foreign, "x")


def test_a_spent_budget_refuses_before_it_grades() -> None:
    ledger = Ledger(ToyTask(), "toy", Budget(labels=1))
    item = ledger.items("train", limit=1)[0]
    ledger.grade(item, "x")
    with pytest.raises(LedgerError, match=r"budget\.labels=1 is spent"):
        ledger.grade(item, "x")
    assert ledger.spent.labels == 1


def test_the_class_follows_from_the_rows(ledger: Ledger) -> None:
    assert ledger.data_class == "Z"
    item = ledger.items("train", limit=1)[0]
    assert ledger.data_class == "Z", "reading questions alone adds no class"
    ledger.activations(10)
    assert ledger.data_class == "V"
    ledger.selected(5, [])
    assert ledger.data_class == "V", "select bits are a column of their own"
    ledger.grade(item, "x")
    assert ledger.data_class == "R"
    ledger.foreign("a trace by somebody", "somebody", "MIT")
    assert ledger.data_class == "T"
    ledger.teacher()
    assert ledger.data_class == "L"
    ledger.unaccounted("file gold.json")
    assert ledger.data_class == "unaccounted"


def test_few_shot_exemplars_make_a_prompt_class_t() -> None:
    assert data_class(prompt_rows("base", PromptFormat("bare"))) == "Z"
    assert data_class(prompt_rows("base", PromptFormat("few", exemplars=(("1+1?", "2."),)))) == "T"


def test_rows_survive_the_file(ledger: Ledger, tmp_path: Path) -> None:
    item = ledger.items("dev", stage="select", limit=2)[0]
    ledger.grade(item, "x", stage="select")
    ledger.save(tmp_path / "ledger.jsonl")
    assert load_rows(tmp_path / "ledger.jsonl") == ledger.rows


def test_used_items_refuse_evaluation(ledger: Ledger) -> None:
    used = ledger.items("dev", stage="select", limit=3)
    with pytest.raises(LedgerError, match="1 items were used"):
        refuse_used(ledger.used, [used[0].id, "another"])
    refuse_used(ledger.used, ["another"])


def test_the_task_view_leads_to_no_item_and_no_gold(ledger: Ledger) -> None:
    public = [name for name in dir(ledger.task_view) if not name.startswith("_")]
    assert sorted(public) == ["answer_class", "answer_span", "extract", "keys", "name", "prompts", "stop", "verdict"]
    with pytest.raises(LedgerError, match=r"'verdict'.*no gold"):
        ledger.task_view.verdict("id", "The answer is 3.", True)


def account(ledger: Ledger) -> tuple[list, dict]:
    return ledger.rows, vars(ledger.spent)


def begun(budget: Budget | None = None) -> Ledger:
    """A fit's first steps, which a resumed one repeats."""
    ledger = Ledger(ToyTask(), "toy", budget)
    ledger.items("train", limit=6)
    ledger.foreign("a trace by somebody", "somebody", "MIT")
    return ledger


def used(ledger: Ledger) -> Ledger:
    items = ledger.items("train", limit=4)
    ledger.grades(items, ["x"] * 4, [True] * 4)
    ledger.rollouts(8, 100)
    ledger.activations(10)
    ledger.selected(3, ["d1", "d2"])
    ledger.unaccounted("file gold.json")
    return ledger


def test_a_resumed_account_is_the_interrupted_one_and_what_is_done_again_counts_once(tmp_path: Path) -> None:
    whole = used(begun())
    whole.save(tmp_path / "ledger.jsonl")
    resumed = begun()
    resumed.resume(load_rows(tmp_path / "ledger.jsonl"), Spent(**vars(whole.spent)))
    assert account(resumed) == account(whole) and resumed.accounted is whole.accounted is False
    used(resumed)
    assert account(resumed) == account(used(whole))


def test_what_an_interrupted_run_spent_counts_against_the_budget(tmp_path: Path) -> None:
    whole = used(begun())
    whole.save(tmp_path / "ledger.jsonl")
    with pytest.raises(LedgerError, match=r"budget\.labels=5 is spent"):
        begun(Budget(labels=5)).resume(load_rows(tmp_path / "ledger.jsonl"), Spent(**vars(whole.spent)))


def test_a_row_holds_each_item_once_in_order_whatever_the_order_of_use(ledger: Ledger) -> None:
    items = ledger.items("train", limit=6)
    for item in [*items[::-1], *items]:
        ledger.grade(item, "x")
    (row,) = ledger.rows
    assert row.items == sorted({item.id for item in items}) and row.problems == 6 and row.label_bits == 12
    assert row.content_hash == content_hash(row.items)
