"""What supervised fine-tuning trains on: rows of text, their tokens and their loss mask, and which rows a step sees.

    tokens   prompt | completion EOS          labels   -100 ... -100 | completion EOS

A prompt is encoded exactly as the policy's prompts are (BOS by the checkpoint's own convention), and prompt and
completion together must begin with the very tokens of the prompt: where a token merges across the boundary, the
mask would move and the model would be trained on a context that it never sees, so that is an error. Nothing is
ever truncated: a row that is too long is refused, or dropped and counted. No trainer, no gradients here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError, MethodError

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy
    from elicit.sampling.own import Completion

IGNORED = -100
"""label of a token that is not in the loss"""


@dataclass(frozen=True)
class Row:
    """One example: what is read and what is learned."""

    prompt: str
    completion: str
    """text in the loss; EOS comes behind it. Begin it with the blank or line break that separates it from the prompt"""
    prompt_in_loss: bool = False
    completion_ids: tuple[int, ...] | None = None
    """the completion's own tokens where they are known (own samples, fillers), EOS left out; None: tokenise the text"""


@dataclass(frozen=True)
class Tokens:
    """One row as the trainer sees it."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """the id where the token is in the loss, -100 elsewhere"""

    @property
    def loss_tokens(self) -> int:
        """Tokens that are predicted in the loss (the first token of a row has nothing before it)."""
        return sum(label != IGNORED for label in self.labels[1:])


def encode(checkpoint: Checkpoint, row: Row) -> Tokens:
    """Tokens and loss mask of one row. Raises MethodError where a token merges across the prompt's end."""
    prompt = tuple(checkpoint.encode(row.prompt))
    completion = row.completion_ids
    if completion is None:
        whole = tuple(checkpoint.encode(row.prompt + row.completion))
        if whole[: len(prompt)] != prompt:
            merged = checkpoint.tokenizer.convert_ids_to_tokens(list(whole[: len(prompt)]))[-3:]
            raise MethodError(
                f"a token merges across the boundary of {row.prompt[-20:]!r} and {row.completion[:20]!r} (tokens "
                f"{merged}), which would move the loss mask: end the prompt, or begin the completion, on a line break"
            )
        completion = whole[len(prompt) :]
    if not completion:
        raise MethodError(f"an empty completion behind {row.prompt[-40:]!r}: there is nothing to learn, drop the row")
    ids = (*prompt, *completion, end_id(checkpoint))
    first = 0 if row.prompt_in_loss else len(prompt)
    return Tokens(ids, (IGNORED,) * first + ids[first:])


def own_row(policy: Policy, completion: Completion) -> Row:
    """An own completion behind the prompt that it answered, in its own tokens, the ending left out."""
    checkpoint = policy.checkpoint
    ids = completion.token_ids[:-1] if completion.token_ids[-1] in checkpoint.eos_ids else completion.token_ids
    if checkpoint.decode(ids) != completion.text:  # cut before a stop string, which stands in the tokens
        ids = tuple(checkpoint.tokenizer(completion.text, add_special_tokens=False)["input_ids"])
    return Row(policy.prompt.render(completion.item.question), completion.text, completion_ids=ids)


def end_id(checkpoint: Checkpoint) -> int:
    """The id that ends a completion; the tokenizer's own EOS where the checkpoint knows it as one."""
    if not checkpoint.eos_ids:
        raise MethodError(f"{checkpoint.name} names no EOS, so a completion can't be ended: use a checkpoint with one")
    own = checkpoint.tokenizer.eos_token_id
    return int(own) if own in checkpoint.eos_ids else min(checkpoint.eos_ids)


def encode_all(
    checkpoint: Checkpoint, rows: Sequence[Row], max_tokens: int, too_long: str
) -> tuple[list[Tokens], list[int]]:
    """(tokens of the rows that are kept, indices of those that were too long and dropped).

    Raises MethodError on the first too long row unless `too_long` is "drop", and where nothing is left.
    """
    encoded = [encode(checkpoint, row) for row in rows]
    over = [place for place, tokens in enumerate(encoded) if len(tokens.ids) > max_tokens]
    if over and too_long != "drop":
        raise MethodError(
            f"row {over[0]} has {len(encoded[over[0]].ids)} tokens, sft.max_tokens={max_tokens} ({len(over)} of "
            f"{len(rows)} rows are too long; nothing is truncated): raise it, or set sft.too_long=drop"
        )
    gone = set(over)
    kept = [tokens for place, tokens in enumerate(encoded) if place not in gone]
    if not kept:
        raise MethodError(f"no row to train on ({len(over)} of {len(rows)} had more than max_tokens={max_tokens})")
    return kept, over


def steps_of(rows: int, batch: int, epochs: float) -> int:
    """Optimizer steps of so many epochs; the last step is filled up from the next shuffle."""
    return max(1, int(np.ceil(epochs * rows / batch)))


def micro_batches(lengths: Sequence[int], batch: int, steps: int, micro: int, seed: int) -> list[list[int]]:
    """Row numbers of every micro-batch in order, the same number of them in each step.

    The rows of a step follow a seeded shuffle of each epoch; inside a step they are sorted by length, so that the
    padding is small. What a step sees does not depend on `micro`. Raises ConfigError where a number is below 1.
    """
    if min(batch, steps, micro, len(lengths)) < 1:
        raise ConfigError(f"batch={batch}, steps={steps}, micro_rows={micro}, rows={len(lengths)}: each at least 1")
    rng = np.random.default_rng(seed)
    epochs = -(-steps * batch // len(lengths))
    order = np.concatenate([rng.permutation(len(lengths)) for _ in range(epochs)])[: steps * batch]
    pieces = -(-batch // micro)
    out: list[list[int]] = []
    for chosen in order.reshape(steps, batch):
        by_length = sorted(chosen.tolist(), key=lambda place: lengths[place])
        out += [part.tolist() for part in np.array_split(np.array(by_length), pieces)]
    return out
