"""Two sides of the base's own completions, the contrast that a direction is read from; and pages made of completions.

    right_minus_wrong     by the verifier: one label bit per completion        (class R)
    traced_minus_direct   by the completion's own length, no label             (class V)

The second contrast assumes that the two modes of a base, writing a trace and answering directly, differ in length. It
cuts the log-length at the threshold that minimises the variance within both groups (two-means in one dimension, Otsu
1979), over all items at once. If lengths have one mode only, the contrast is long minus short: look at `share`, the
part of the variance that the cut explains (about .64 for a normal distribution). Knows no direction and no edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import MethodError

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy
    from elicit.sampling.own import Completion

CONTRASTS = ("right_minus_wrong", "traced_minus_direct")
PAGE_BREAK = "\n\n"


def by_verdict(completions: Sequence[Completion], ledger: Ledger) -> list[bool | None]:
    """True: right, False: wrong, None: ungraded (on neither side). Books one label bit per completion."""
    return [
        ledger.grade(completion.item, completion.text, finished=completion.finished, stage="train")
        for completion in completions
    ]


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
        ids = completion.token_ids
        written = ids[:-1] if ids[-1] in checkpoint.eos_ids else ids
        prompt = following[completion.item.id]
        prompt = prompt[1:] if checkpoint.bos_id is not None else prompt
        rows.append(completion.prompt_ids + written + joint + prompt)
    lengths = [len(row) for row in rows]
    return rows, lengths, [(length - 1, length) for length in lengths]
