"""Responses and critics: what they write, what they refuse, and the data class that follows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicit.errors import DataError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.sampling.own import Completion
from elicit.tasks.formal.family import first_violation
from elicit.tasks.formal.task import FAMILIES, FormalTask
from elicit.tasks.review import read_verdict
from methods.critique_ft import own
from methods.critique_ft.files import FileCritic
from methods.critique_ft.own import SelfCritic, agreeing, majority
from methods.critique_ft.program import ProgramCritic
from methods.critique_ft.records import Response, balanced
from methods.critique_ft.responses import CorruptResponses, FileResponses

TASK = FormalTask(n_train=40, n_dev=10, n_test=10)
GOOD = {"question": "1 + 2?", "response": "The answer is 4.", "critique": "1 + 2 = 3. The proposed answer is wrong.",
        "verdict": "wrong", "author": "a teacher", "licence": "CC-BY-4.0"}  # fmt: skip
PUBLISHED = {
    "instruction": "Please critique whether the following solution to the question is correct.\n\n",
    "input": "Question:\n1 + 2?\nSolution:\nThe answer is 3.\n",
    "output": "Critique:\nFine.\nConclusion: right [END]",
}


def context(log: list | None = None) -> Context:
    return Context(
        np.random.default_rng(0), Path("unused"), lambda policy, limit: 0.0, (log if log is not None else []).append
    )


def given_responses(ledger: Ledger, items: int = 10) -> list[Response]:
    out = []
    for item in ledger.items("train", limit=items):
        full = ledger._known(item)
        out += [Response(item, TASK.gold_completion(full)), Response(item, TASK.corrupted_completion(full))]
    return out


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize(("mode", "grade"), [("verdict_only", "R"), ("first_error", "T"), ("with_correction", "T")])
def test_the_class_of_a_program_critic_follows_from_what_it_says(mode, grade):
    ledger = Ledger(TASK, "test")
    examples = ProgramCritic(mode).examples(None, ledger, context(), given_responses(ledger), 20)
    assert ledger.data_class == grade
    assert len(examples) == 20 and sum(e.right for e in examples) == 10
    for example in examples:
        assert read_verdict(example.critique) is example.right
        assert example.critique.startswith(" ")
        answered = TASK.extract(example.critique, True).strict
        item = next(i for i in TASK.items("train") if i.id == example.key)
        assert answered == (item.gold if mode == "with_correction" else None)


def test_a_correction_holds_the_right_steps_and_a_first_error_the_step_that_fails():
    ledger = Ledger(TASK, "test")
    items = ledger.items("train", limit=8)
    texts = []
    for item in items:
        steps = FAMILIES["chain"].steps(ledger._known(item).facts)
        texts.append(f" {' '.join(own_error(steps))} So the answer is 0.")
    responses = [Response(item, text) for item, text in zip(items, texts, strict=True)]
    found = ProgramCritic("first_error").write(ledger, responses, [False] * 8)
    for item, text, critique in zip(items, texts, found, strict=True):
        at = first_violation(FAMILIES["chain"], ledger._known(item).facts, text)
        assert critique == f" Step {at.step + 1}: {at.message}. So the proposed answer is wrong."
    for item, critique in zip(
        items, ProgramCritic("with_correction").write(ledger, responses, [False] * 8), strict=True
    ):
        assert " ".join(FAMILIES["chain"].steps(ledger._known(item).facts)) in critique


def own_error(steps: list[str]) -> list[str]:
    return [*steps[:-1], steps[-1][:-2] + str((int(steps[-1][-2]) + 1) % 10) + "."]


def test_corrupted_traces_are_graded_wrong_and_the_others_right():
    ledger = Ledger(TASK, "test")
    items = ledger.items("train", limit=20)
    responses = CorruptResponses(samples=2).responses(None, ledger, context(), items)
    assert ledger.data_class == "T"
    valid = [first_violation(FAMILIES["chain"], ledger._known(r.item).facts, r.text) is None for r in responses]
    assert ledger.grades([r.item for r in responses], [r.text for r in responses], [True] * len(responses)) == valid
    assert 8 < sum(valid) < 32


def test_corrupting_a_task_without_written_steps_is_an_error_that_names_the_remedy():
    from tests.toy import ToyTask

    ledger = Ledger(ToyTask(), "test")
    with pytest.raises(MethodError, match=r"has a step to change.*source=own"):
        CorruptResponses().responses(None, ledger, context(), ledger.items("train", limit=4))
    responses = [Response(item, " The answer is 3.") for item in ledger.items("train", limit=4)]
    with pytest.raises(MethodError, match="no validator"):
        ProgramCritic("first_error").write(ledger, responses, [True] * 4)


@settings(max_examples=100, deadline=None)
@given(verdicts=st.lists(st.sampled_from([True, False, None]), max_size=40), rows=st.integers(1, 30))
def test_a_choice_is_as_balanced_as_it_can_be_and_leaves_the_ungraded_out(verdicts, rows):
    chosen = balanced(verdicts, rows, np.random.default_rng(0))
    counts = Counter(verdicts[place] for place in chosen)
    have = Counter(verdicts)
    assert len(set(chosen)) == len(chosen) == min(rows, have[True] + have[False]) and not counts[None]
    assert abs(counts[True] - counts[False]) <= 1 or min(have[True], have[False]) == min(counts[True], counts[False])


@pytest.mark.parametrize("keep", ["verifier", "majority"])
def test_a_kept_review_agrees_in_its_verdict_and_in_the_answer_that_it_states(keep):
    ledger = Ledger(TASK, "test")
    item = ledger.items("train", limit=1)[0]
    gold = int(ledger._known(item).gold)
    other = (gold + 1) % 10
    wrong = Response(item, f" The answer is {other}.")
    texts = [
        " The proposed answer is right. The answer is {g}.",
        " The proposed answer is wrong. The answer is {o}.",
        " Hm.",
        " The proposed answer is wrong. The answer is {g}.",
        " The proposed answer is wrong.",
    ]
    reviews = [Completion(item, (), (1,), text.format(g=gold, o=other), True) for text in texts]
    votes = {item.id: str(gold)} if keep == "majority" else None
    (kept,) = agreeing(ledger, [wrong], [False], [reviews], votes)
    assert kept.critique == texts[3].format(g=gold) and not kept.right
    (bare,) = agreeing(ledger, [wrong], [False], [reviews[4:]], votes)
    assert bare.critique == texts[4]
    assert agreeing(ledger, [wrong], [False], [reviews[:3]], votes) == []
    assert ledger.data_class == ("R" if keep == "verifier" else "Z")


def test_the_majority_is_what_an_items_own_responses_say_most_often():
    ledger = Ledger(TASK, "test")
    one, two = ledger.items("train", limit=2)
    said = [Response(one, f" The answer is {a}.") for a in (3, 4, 4)] + [Response(two, " Hm.")]
    votes = majority(ledger.task_view, said)
    assert votes == {one.id: "4", two.id: None}
    assert own.votes_of(ledger.task_view, said, votes) == [False, True, True, None]
    assert ledger.data_class == "Z"


def test_a_self_critic_that_never_states_a_verdict_is_an_error_that_names_the_remedy(monkeypatch):
    ledger = Ledger(TASK, "test")
    responses = given_responses(ledger)
    hm = Completion(responses[0].item, (), (1,), " Hm.", True)
    monkeypatch.setattr(SelfCritic, "reviews", lambda self, p, ledger, c, picked, shots: [[hm] * 2 for _ in picked])
    with pytest.raises(MethodError, match=r"none of 40 reviews states a verdict.*critic\.shots"):
        SelfCritic(samples=2).examples(None, ledger, context(), responses, 20)
    bad = replace(hm, text=" The proposed answer is right. The answer is x.")
    monkeypatch.setattr(SelfCritic, "reviews", lambda self, p, ledger, c, picked, shots: [[bad] for _ in picked])
    with pytest.raises(MethodError, match="none agrees with the verifier"):
        SelfCritic(samples=1).examples(None, ledger, context(), responses, 20)


def test_a_file_brings_its_own_form_and_the_published_one(tmp_path):
    ledger = Ledger(TASK, "test")
    path = write(tmp_path / "c.jsonl", GOOD, "", PUBLISHED)
    critic = FileCritic(path, author="GPT-4o", licence="MIT")
    examples = {e.right: e for e in critic.examples(None, ledger, context(), [], 10)}
    assert examples[False].critique == f" {GOOD['critique']}" and examples[False].response == GOOD["response"]
    assert examples[True].critique == " Fine.\nConclusion: right" and examples[True].response == "The answer is 3."
    assert examples[True].question == "1 + 2?" and examples[True].key == examples[False].key
    assert ledger.data_class == "T"
    booked = {(row.source, row.licence): row for row in ledger.rows}
    assert set(booked) == {("c.jsonl: a teacher", "CC-BY-4.0"), ("c.jsonl: GPT-4o", "MIT")}
    assert all(row.foreign_tokens > 5 and row.content_hash for row in booked.values())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"question": ', "not JSON"),
        ("[1]", "expected an object"),
        ({**GOOD, "critique": " "}, "critique=' '"),
        ({**GOOD, "response": 3}, "response=3"),
        ({**GOOD, "author": None}, "author=None"),
        ({**GOOD, "verdict": "maybe"}, "verdict='maybe'"),
        ({**GOOD, "verdict": "right"}, "the critique states the opposite"),
        ({**GOOD, "verdict": None, "critique": "Hm."}, "no verdict"),
        ({**PUBLISHED, "input": "What?"}, "input is not"),
    ],
)
def test_a_broken_row_is_refused_with_its_line_and_reason_or_skipped_and_counted(tmp_path, row, reason):
    path = write(tmp_path / "c.jsonl", GOOD, row, GOOD)
    with pytest.raises(DataError, match=rf"c.jsonl, line 2: .*{reason}.*broken=skip"):
        FileCritic(path).examples(None, Ledger(TASK, "test"), context(), [], 10)
    log: list[dict] = []
    found = FileCritic(path, broken="skip").examples(None, Ledger(TASK, "test"), context(log), [], 10)
    assert len(found) == 2 and {"critique_ft/file_rows": 2, "critique_ft/skipped": 1} in log


def test_a_file_that_never_states_a_verdict_or_does_not_exist_is_an_error(tmp_path):
    path = write(tmp_path / "c.jsonl", *[{**GOOD, "critique": "Hm."}] * 3)
    with pytest.raises(MethodError, match="none of 3 critiques states a verdict"):
        FileCritic(path).examples(None, Ledger(TASK, "test"), context(), [], 10)
    from elicit.errors import LedgerError

    with pytest.raises(LedgerError, match="no such file"):
        FileCritic(tmp_path / "no.jsonl").examples(None, Ledger(TASK, "test"), context(), [], 10)


def test_a_files_responses_are_matched_to_train_items_by_their_question(tmp_path):
    ledger = Ledger(TASK, "test")
    items = ledger.items("train", limit=3)
    rows = [{"question": i.question, "response": "It is 3.", "author": "a", "licence": "b"} for i in items]
    responses = FileResponses(write(tmp_path / "r.jsonl", *rows)).responses(None, ledger, context(), items)
    assert [response.item for response in responses] == items
    stranger = write(tmp_path / "s.jsonl", rows[0], {**rows[0], "question": "Who?"})
    with pytest.raises(DataError, match="line 2: its question is none of the 3 train items"):
        FileResponses(stranger).responses(None, ledger, context(), items)


def test_a_budget_of_foreign_tokens_stops_a_correcting_critic():
    from elicit.errors import LedgerError
    from elicit.ledger import Budget

    ledger = Ledger(TASK, "test", Budget(foreign_tokens=10))
    with pytest.raises(LedgerError, match="foreign_tokens=10 is spent"):
        ProgramCritic("with_correction").examples(None, ledger, context(), given_responses(ledger), 20)


def test_items_of_the_test_split_can_not_be_had_through_the_new_doors():
    from elicit.errors import LedgerError

    ledger = Ledger(TASK, "test")
    item = TASK.items("test")[0]
    for door in (lambda: ledger.grades([item], ["x"], [True]), lambda: ledger.solutions([item]),
                 lambda: ledger.violations([item], ["x"])):  # fmt: skip
        with pytest.raises(LedgerError, match="did not come from this ledger"):
            door()


def test_on_a_task_in_words_the_program_critic_computes_the_equations_again(tmp_path):
    from elicit.tasks.natural.gsm8k import Gsm8k

    rows = [
        {"question": f"A farm has {k} hens and buys {k}. How many?", "answer": f"#### {2 * k}"} for k in range(2, 42)
    ]
    task = Gsm8k(path=str(write(tmp_path / "train.jsonl", *rows)))
    ledger = Ledger(task, "test")
    item = ledger.items("train", limit=1)[0]
    k = int(item.question.split()[3])
    slip = f" The farm has {k} + {k} = {2 * k + 1} hens. The answer is {2 * k + 1}."
    fine = f" The farm has <<{k}+{k}={2 * k}>>{2 * k} hens. The answer is {2 * k}."
    silent = f" The answer is {2 * k}."
    responses = [Response(item, text) for text in (slip, fine, silent)]
    named = ProgramCritic("first_error").write(ledger, responses, [False, True, True])
    assert named[0] == f" Step 1: {k} + {k} is {2 * k}, not {2 * k + 1}. So the proposed answer is wrong."
    assert named[1:] == [" The proposed answer is right."] * 2
    corrected = ProgramCritic("with_correction").write(ledger, responses, [False, True, True])
    end = f"So the proposed answer is {{}}. The answer is {2 * k}."
    assert corrected[0] == f" {k} + {k} = {2 * k}. Step 1 is wrong. {end.format('wrong')}"
    assert corrected[1] == f" {k}+{k} = {2 * k}. {end.format('right')}"
    assert corrected[2] == f" {end.format('right')}"
    assert {row.source for row in ledger.rows if row.foreign_tokens} == {"train", "program critic"}
