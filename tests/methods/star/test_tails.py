"""STaR on completions with a tail: what each cut leaves, and that the arms differ in nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.sampling.own import Completion
from elicit.tasks.formal.task import FormalTask
from methods.star.tails import CUTS, TailedStar, spare, without_span

TASK = FormalTask(n_train=40, n_dev=5, n_test=5)
TAIL = TailedStar().continuation
POLICY = SimpleNamespace(prompt=TASK.prompts["bare"])


def completions(ledger: Ledger, tail: str = TAIL) -> list[Completion]:
    items = ledger.items("train")
    return [Completion(one, (), (5,), TASK.gold_completion(ledger._known(one)) + tail, True) for one in items]


def context() -> Context:
    return Context(np.random.default_rng(0), Path("unused"), lambda p, n: 0.5, lambda row: None)


def rows(cut: str) -> tuple[list[str], list[Completion]]:
    ledger = Ledger(TASK, "test")
    star = TailedStar(cut=cut)  # type: ignore[arg-type]
    kept = star.kept(completions(ledger), ledger, context())
    return [row.completion for row in star.training_rows(POLICY, kept, context())], kept  # type: ignore[arg-type]


def test_all_arms_train_on_the_same_completions_and_both_cuts_are_equally_long() -> None:
    (uncut, kept), (cut, also), (span, _) = (rows(name) for name in CUTS)
    assert [one.text for one in kept] == [one.text for one in also] == uncut and len(kept) > 5
    assert [f"{text}{TAIL}" for text in cut] == uncut
    assert [len(text.split()) for text in cut] == [len(text.split()) for text in span]
    assert all(text.endswith(TAIL) for text in span)


def test_a_cut_span_leaves_the_conclusion_and_comes_from_one_position() -> None:
    texts, kept = rows("span")
    for text, one in zip(texts, kept, strict=True):
        head = one.text.removesuffix(TAIL).split()
        left = text.removesuffix(TAIL).split()
        assert left[-5:] == head[-5:] and head[-5:-1] == ["So", "the", "answer", "is"]
        same = next((k for k, (a, b) in enumerate(zip(left, head, strict=False)) if a != b), len(left))
        gone = len(head) - len(left)
        assert left[same:] == head[same + gone :]


def test_every_position_before_the_conclusion_is_drawn() -> None:
    head, tail = " a b c d. So e.", " Wait, f"
    drawn = {without_span(head, tail, np.random.default_rng(k)) for k in range(60)}
    assert drawn == {" c d. So e. Wait, f", " a d. So e. Wait, f", " a b So e. Wait, f"} and spare(head, tail) == 3


def test_wrong_after_the_tail_wrong_before_it_and_too_short_are_not_kept() -> None:
    ledger = Ledger(TASK, "test")
    full = completions(ledger)
    # with room for the four words that `late` has more
    long = next(one for one in full if spare(*TailedStar().parts(f"{one.text} The answer is 7.")) > 0)
    gold = int(ledger._known(long.item).gold or 0)
    other = replace(long, text=f"{long.text} The answer is {(gold + 1) % 10}.")
    guess = replace(long, text=f" The answer is {gold}.{TAIL}")
    late = replace(long, text=f"{TASK.corrupted_completion(ledger._known(long.item))}{TAIL} The answer is {gold}.")
    assert TailedStar().kept([long, other, guess, late], ledger, context()) == [long]
    assert ledger.spent.labels == 4 + 2


def test_an_unknown_cut_is_refused() -> None:
    with pytest.raises(ConfigError, match="cut='end'"):
        TailedStar(cut="end")  # type: ignore[arg-type]
