"""Two sides of the base's own completions, the contrast that a direction is read from; and pages made of completions.

    right_minus_wrong     by the verifier: one label bit per completion        (class R)
    traced_minus_direct   by the completion's own length, no label             (class V)

The first is about answers, not about form: a right answer is right whether it is declared or only mentioned, and what
was cut, or holds no answer at all, is on neither side. Otherwise "right minus wrong" of a base that declares four
answers of ten would mostly be "declared minus undeclared"; the declared share of both sides is reported.

The second contrast assumes that the two modes of a base, writing a trace and answering directly, differ in length. It
cuts the log-length at the threshold that minimises the variance within both groups (two-means in one dimension, Otsu
1979), over all items at once. If lengths have one mode only, the contrast is long minus short: look at `share`, the
part of the variance that the cut explains (about .64 for a normal distribution). Knows no direction and no edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from elicit.errors import MethodError, near
from elicit.sampling.own import Completion, written

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from elicit.tasks.task import PromptFormat

CONTRASTS = ("right_minus_wrong", "traced_minus_direct")
PAGE_BREAK = "\n\n"


class Sample(Protocol):
    """One text about one item: an own completion, or a response from elsewhere."""

    @property
    def item(self) -> Item: ...
    @property
    def text(self) -> str: ...
    @property
    def finished(self) -> bool: ...


def by_verdict(samples: Sequence[Sample], ledger: Ledger) -> tuple[list[bool | None], dict[str, float]]:
    """(per sample: True right, False wrong, None neither; numbers to log: `declared_right` and `declared_wrong`, the
    shares of both sides that declare their answer, and `left_out`, the number of samples on neither side).

    Neither: cut, without a readable answer, or ungraded. Books one label bit per sample that is graded.
    """
    answers = [ledger.task_view.extract(sample.text, sample.finished) for sample in samples]
    readable = [
        place
        for place, (sample, answer) in enumerate(zip(samples, answers, strict=True))
        if sample.finished and answer.lenient is not None
    ]
    asked = [samples[place] for place in readable]
    grades = ledger.grades([s.item for s in asked], [s.text for s in asked], [True] * len(asked), reading="lenient")
    sides: list[bool | None] = [None] * len(samples)
    for place, grade in zip(readable, grades, strict=True):
        sides[place] = grade
    about = {"left_out": float(sides.count(None))}
    for name, side in (("declared_right", True), ("declared_wrong", False)):
        declared = [answer.strict is not None for answer, of in zip(answers, sides, strict=True) if of is side]
        if declared:
            about[name] = sum(declared) / len(declared)
    return sides, about


def permuted(sides: Sequence[bool | None], items: Sequence[str], rng: np.random.Generator) -> list[bool | None]:
    """The N sides, shuffled within each item (a placebo, or a rival); a sample on neither side stays there."""
    out = list(sides)
    for item in dict.fromkeys(items):
        members = [i for i, name in enumerate(items) if name == item and sides[i] is not None]
        shuffled = [sides[i] for i in rng.permutation(members)]
        for i, side in zip(members, shuffled, strict=True):
            out[i] = side
    return out


def prompt_pair(ledger: Ledger, pair: Sequence[str]) -> list[PromptFormat]:
    """The task's prompts of these names, positive and negative; their exemplars are booked as foreign text.

    Raises MethodError for a name that is no prompt of the task.
    """
    prompts, out = ledger.task_view.prompts, []
    for name in pair:
        if name not in prompts:
            raise MethodError(f"pair: {name!r} is no prompt of task {ledger.task_view.name}: {near(name, prompts)}")
        for part in (part for exemplar in prompts[name].exemplars for part in exemplar):
            ledger.foreign(part, f"exemplars of {prompts[name].name}", "-")
        out.append(prompts[name])
    return out


def by_length(completions: Sequence[Completion]) -> tuple[list[bool | None], float]:
    """(per completion: True if long, that is traced, False if short, that is direct; share of variance explained).

    Raises MethodError if all lengths are equal.
    """
    lengths = [len(completion.token_ids) for completion in completions]
    cut, share = two_means(lengths)
    return [length > cut for length in lengths], share


def two_means(lengths: Sequence[int]) -> tuple[float, float]:
    """(threshold in tokens, share of the log-length variance that lies between the two groups).

    Raises MethodError if all lengths are equal.
    """
    logs = np.sort(np.log(np.maximum(lengths, 1)))
    total = float(((logs - logs.mean()) ** 2).sum()) if len(logs) else 0.0
    if total == 0:
        raise MethodError(
            f"all {len(lengths)} completions have the same length, so traced and direct can't be told apart: "
            "take more samples, or contrast=right_minus_wrong"
        )
    # only a cut between two different lengths separates groups
    cuts = np.flatnonzero(np.diff(logs)) + 1
    between = [
        cut * (logs[:cut].mean() - logs.mean()) ** 2 + (len(logs) - cut) * (logs[cut:].mean() - logs.mean()) ** 2
        for cut in cuts
    ]
    best = int(np.argmax(between))
    cut = cuts[best]
    return float(np.exp((logs[cut - 1] + logs[cut]) / 2)), float(between[best]) / total


def in_context_rows(
    policy: Policy, completions: Sequence[Completion]
) -> tuple[list[tuple[int, ...]], list[int], list[tuple[int, int]]]:
    """(rows of token ids, prompt lengths, spans): each completion on a page that ends with another item's prompt.

    The other item is the next one in the order of first appearance, the same for all samples of an item: so the
    positive and negative rows of an item differ in the sample alone. A span is the last token of the page.
    """
    checkpoint = policy.checkpoint
    prompts = {completion.item.id: completion.prompt_ids for completion in completions}
    following = dict(zip(prompts, [*list(prompts.values())[1:], next(iter(prompts.values()))], strict=True))
    joint = tuple(checkpoint.tokenizer(PAGE_BREAK, add_special_tokens=False)["input_ids"])
    rows = []
    for completion in completions:
        prompt = following[completion.item.id]
        prompt = prompt[1:] if checkpoint.bos_id is not None else prompt
        rows.append(completion.prompt_ids + written(checkpoint, completion) + joint + prompt)
    lengths = [len(row) for row in rows]
    return rows, lengths, [(length - 1, length) for length in lengths]
