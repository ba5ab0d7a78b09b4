"""Laws of the two sides of own samples: they differ in the answer and not in its form; pages repeat no stop string."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.records import Item
from elicit.sampling.contrast import PAGE_BREAK, by_verdict, in_context_rows
from elicit.sampling.own import Completion, written
from elicit.tasks.natural.jsonl import Jsonl
from methods.critique_ft.own import SelfCritic, majority, votes_of
from methods.critique_ft.program import ProgramCritic
from tests.sampling.models import tiny_model, tokenizer


@dataclass(frozen=True)
class Said:
    """One response."""

    item: Item
    text: str
    finished: bool = True


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    rows = [{"question": f"How many are {n} and {n}?", "answer": str(2 * n), "split": "train"} for n in range(2, 12)]
    file = tmp_path / "sums.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return Ledger(Jsonl(path=str(file), answers="number"), "test")


def said(ledger: Ledger) -> list[Said]:
    """Right declared, right mentioned, wrong declared, wrong mentioned, cut, empty of any answer."""
    (item,) = ledger.items("train", limit=1)
    gold = ledger._known(item).gold
    wrong = int(gold or 0) + 1
    return [
        Said(item, f" The answer is {gold}."),
        Said(item, f" So together there are {gold} of them"),
        Said(item, f" The answer is {wrong}."),
        Said(item, f" So together there are {wrong} of them"),
        Said(item, f" The answer is {gold}", finished=False),
        Said(item, " Who knows?"),
    ]


def test_right_is_a_right_answer_declared_or_not_and_what_holds_none_or_was_cut_is_on_no_side(ledger: Ledger) -> None:
    sides, about = by_verdict(said(ledger), ledger)
    assert sides == [True, True, False, False, None, None]
    assert about == {"left_out": 2, "declared_right": 0.5, "declared_wrong": 0.5}
    assert ledger.data_class == "R" and ledger.spent.labels == 4, "one bit per graded sample"


def test_a_side_without_samples_has_no_declared_share(ledger: Ledger) -> None:
    sides, about = by_verdict(said(ledger)[:2], ledger)
    assert sides == [True, True] and about == {"left_out": 0, "declared_right": 0.5}


def test_a_right_answer_that_is_not_declared_gets_no_critique_that_calls_it_wrong(ledger: Ledger) -> None:
    log: list = []
    context = Context(np.random.default_rng(0), Path("unused"), lambda policy, limit: 0.0, log.append)
    responses = said(ledger)
    examples = ProgramCritic("verdict_only").examples(None, ledger, context, responses, 100)
    verdicts = {example.response: example.right for example in examples}
    assert verdicts == {s.text: right for s, right in zip(responses, [True, True, False, False], strict=False)}
    assert {"critique_ft/declared_right": 0.5, "critique_ft/left_out": 2}.items() <= log[0].items()


def test_the_majority_of_responses_reads_as_votes_do(ledger: Ledger) -> None:
    responses = said(ledger)
    votes = majority(ledger.task_view, [*responses[1:2] * 3, *responses[2:3]])
    assert votes_of(ledger.task_view, responses, votes) == [True, True, False, False, None, None]
    assert SelfCritic(keep="majority").keep == "majority" and ledger.data_class == "Z"


@pytest.mark.parametrize("ending", ["", "\n\nQuestion:", "\nQuestion:", ".\n\nQuestion:"])
def test_a_page_holds_the_next_question_once_whatever_ended_the_sample(ending: str) -> None:
    checkpoint = wrap(tiny_model(), tokenizer())
    policy = Policy(checkpoint)
    completions = []
    for name in "ab":
        item = Item(name, "toy", "train", f"Add {name}.", None, name)
        text = " The answer is 7" + ("." if ending.startswith(".") else "")
        whole = " The answer is 7" + ending
        ids = tuple(checkpoint.tokenizer(whole, add_special_tokens=False)["input_ids"])
        ids += () if ending else tuple(checkpoint.eos_ids)
        completions.append(Completion(item, policy.prompt_ids(item.question), ids, text, True))
    rows, _, _ = in_context_rows(policy, completions)
    pages = [checkpoint.tokenizer.decode(row) for row in rows]
    for page, one, other in zip(pages, completions, completions[::-1], strict=True):
        prompts = [checkpoint.tokenizer.decode(completion.prompt_ids) for completion in (one, other)]
        assert page == prompts[0] + one.text + PAGE_BREAK + prompts[1]
        assert page.count("Question:") == 2


def test_the_text_keeps_its_own_tokens_if_the_stop_string_has_tokens_of_its_own() -> None:
    checkpoint = wrap(tiny_model(), tokenizer())
    spelled = tuple(checkpoint.tokenizer.convert_tokens_to_ids(list("7")))
    own = (*spelled, *checkpoint.tokenizer("\n\nQuestion:", add_special_tokens=False)["input_ids"])
    item = Item("i", "toy", "train", "q", None, "i")
    assert written(checkpoint, Completion(item, (), own, "7", True)) == spelled
