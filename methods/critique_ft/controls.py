"""The one builder of training rows: critique fine-tuning and every control of it, as a `Recipe`.

    critique fine-tuning   prompt "question, proposed response, Review:"   loss on its own critique

Each control changes exactly one field of the recipe, and is trained for the same steps on the same number of loss
tokens. If a control's targets are longer or shorter, rows are repeated or left out and the batch is scaled, so that a
step has the same number of loss tokens (`equal_tokens`); the prompt's tokens of rows with the prompt in the loss come
on top.

    placebos   shuffled_critiques   another problem's critique with the same verdict: a derangement
               filler               the same number of tokens without content
    rivals     flipped_verdicts, sft_right, sft_wrong, without_response, loss_on_prompt, and the perturbations
               of the trace (perturb.py)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from elicit.errors import MethodError
from elicit.tasks.review import REVIEW, flip_verdict, proposal
from elicit.training.sft.rows import Row
from methods.critique_ft.perturb import perturbed
from methods.critique_ft.records import Example

FILLER = " ."


@dataclass(frozen=True)
class Recipe:
    """What is learned from an example. The defaults are critique fine-tuning."""

    target: Literal["critique", "filler", "right_trace", "wrong_trace"] = "critique"
    """what the loss is on; a trace is an own completion of the plain question, graded right or wrong"""
    pairing: Literal["own", "shuffled", "shuffled_freely"] = "own"
    """whose critique an example gets: its own, that of another problem with the same verdict, or with any verdict"""
    verdict: Literal["kept", "flipped"] = "kept"
    context: Literal["response", "question"] = "response"
    """what the critique follows: question and response, or the question alone"""
    loss: Literal["critique", "all"] = "critique"
    """`all`: the prompt is in the loss too"""
    trace: Literal[
        "kept", "numbers_changed", "keywords_removed", "wrong_answer", "steps_shuffled", "steps_deleted",
        "steps_inserted", "tail_cut", "span_cut",
    ] = "kept"  # fmt: skip
    """how the critique's trace is perturbed (perturb.py)"""


PLACEBOS = {"shuffled_critiques": Recipe(pairing="shuffled"), "filler": Recipe(target="filler")}
RIVALS = {
    "flipped_verdicts": Recipe(verdict="flipped"),
    "sft_right": Recipe(target="right_trace"),
    "sft_wrong": Recipe(target="wrong_trace"),
    "without_response": Recipe(context="question"),
    "loss_on_prompt": Recipe(loss="all"),
    "numbers_changed": Recipe(trace="numbers_changed"),
    "keywords_removed": Recipe(trace="keywords_removed"),
    "wrong_answer": Recipe(trace="wrong_answer"),
    "steps_shuffled": Recipe(trace="steps_shuffled"),
    "steps_deleted": Recipe(trace="steps_deleted"),
    "steps_inserted": Recipe(trace="steps_inserted"),
    "tail_cut": Recipe(trace="tail_cut"),
    "span_cut": Recipe(trace="span_cut"),
}


@dataclass(frozen=True)
class Sources:
    """What some recipes need besides the examples; each is called only if it is needed."""

    tokenise: Callable[[str], tuple[int, ...]]
    """text that continues another one -> ids"""
    traces: Callable[[bool], list[Row]]
    """own completions of the plain question, graded right (True) or wrong (False), as rows"""


def build_rows(examples: Sequence[Example], recipe: Recipe, sources: Sources, rng: np.random.Generator) -> list[Row]:
    """The training rows of one recipe, one per example (own traces: all that there are).

    Raises MethodError if the examples leave the recipe nothing to change, e.g. a class of one.
    """
    if recipe.target in ("right_trace", "wrong_trace"):
        return sources.traces(recipe.target == "right_trace")
    draw = random.Random(int(rng.integers(2**31)))
    critiques = [example.critique for example in examples]
    if recipe.trace != "kept":
        critiques = perturbed(examples, recipe.trace, draw)
    if recipe.pairing != "own":
        order = derangement(examples, recipe.pairing == "shuffled", draw)
        critiques = [critiques[place] for place in order]
        refuse_unchanged(examples, critiques)
    if recipe.verdict == "flipped":
        critiques = [flip_verdict(critique) for critique in critiques]
        refuse_unchanged(examples, critiques)
    rows = [Row(prompt_of(e, recipe.context), c) for e, c in zip(examples, critiques, strict=True)]
    if recipe.target == "filler":
        rows = [replace(row, completion_ids=filler(len(sources.tokenise(row.completion)), sources)) for row in rows]
        rows = [replace(row, completion=FILLER) for row in rows]
    return [replace(row, prompt_in_loss=recipe.loss == "all") for row in rows]


def prompt_of(example: Example, context: str) -> str:
    """The prompt that the critique follows."""
    question = proposal(example.question, example.response) if context == "response" else example.question
    return REVIEW.render(question)


def filler(length: int, sources: Sources) -> tuple[int, ...]:
    """`length` tokens of points."""
    ids = sources.tokenise(FILLER * length)
    return ids[:length]


def derangement(examples: Sequence[Example], in_class: bool, rng: random.Random) -> list[int]:
    """place -> place of the example whose critique it gets: never its own, nor one of the same problem.

    in_class: only among examples with the same verdict. If one problem has more than half of a class (one-problem
    training), other problems can't be guaranteed, and only an example's own critique is ruled out. Raises MethodError
    for a class of one.
    """
    out = list(range(len(examples)))
    for members in _classes(examples, in_class):
        if len(members) == 1:
            raise MethodError(
                f"only one example has the verdict {'right' if examples[members[0]].right else 'wrong'}: its critique "
                "can't be exchanged; take more items, more response.samples, or fewer rows"
            )
        groups: dict[str, list[int]] = {}
        for place in rng.sample(members, len(members)):
            groups.setdefault(examples[place].key, []).append(place)
        largest = max(len(group) for group in groups.values())
        line = [place for group in groups.values() for place in group]
        shift = largest if 2 * largest <= len(line) else 1
        for at, place in enumerate(line):
            out[place] = line[(at + shift) % len(line)]
    return out


def _classes(examples: Sequence[Example], in_class: bool) -> list[list[int]]:
    if not in_class:
        return [list(range(len(examples)))]
    sides = [[place for place, example in enumerate(examples) if example.right is side] for side in (True, False)]
    return [side for side in sides if side]


def refuse_unchanged(examples: Sequence[Example], critiques: Sequence[str]) -> None:
    """Raises MethodError if the control's critiques are those of the method itself."""
    if all(example.critique == critique for example, critique in zip(examples, critiques, strict=True)):
        raise MethodError(
            f"the control changes none of {len(examples)} critiques, e.g. {critiques[0][:60]!r}: critiques with "
            "nothing but a verdict are all the same; use pairing=shuffled_freely, or another control"
        )


def equal_tokens(lengths: Sequence[int], wanted: int, rng: np.random.Generator) -> list[int]:
    """Places of rows whose loss tokens come closest to `wanted` in all: rows are repeated, or left out, at random.

    All rows in order if they are less than half a row away.
    """
    if abs(sum(lengths) - wanted) <= max(lengths) / 2:
        return list(range(len(lengths)))
    out: list[int] = []
    total = 0
    while True:
        for place in rng.permutation(len(lengths)).tolist():
            if out and abs(total + lengths[place] - wanted) >= abs(total - wanted):
                return out
            out.append(place)
            total += lengths[place]
