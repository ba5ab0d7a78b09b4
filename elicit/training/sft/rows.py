"""What supervised fine-tuning trains on: rows of text, their tokens and their loss mask, and which rows a step sees.

    tokens   prompt | completion EOS          labels   -100 ... -100 | completion EOS

A prompt is encoded exactly as the policy's prompts are (BOS by the checkpoint's own convention), and prompt and
completion together must begin with the same tokens as the prompt: if a token merges across the boundary, the mask
would move and the model would be trained on a context that it never sees, so that is an error. Nothing is ever
truncated: a row that is too long is refused, or dropped and counted. What this module does not know: trainers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError, MethodError
from elicit.sampling.own import Completion, written

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy

IGNORED = -100
"""label of a token that is not in the loss"""


@dataclass(frozen=True)
class Row:
    """One example: the prompt is read, the completion is learned."""

    prompt: str
    completion: str
    """text in the loss; EOS follows it. Begin it with the blank or line break that separates it from the prompt"""
    prompt_in_loss: bool = False
    completion_ids: tuple[int, ...] | None = None
    """tokens of the completion without EOS, if known (own samples, fillers); None: the text is tokenised"""


@dataclass(frozen=True)
class Tokens:
    """One row as the trainer sees it."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """the id if the token is in the loss, else -100"""

    @property
    def loss_tokens(self) -> int:
        """Number of tokens in the loss (the first token of a row is never predicted)."""
        return sum(label != IGNORED for label in self.labels[1:])


def encode(checkpoint: Checkpoint, row: Row) -> Tokens:
    """Tokens and loss mask of one row. Raises MethodError if a token merges across the prompt's end."""
    prompt = tuple(checkpoint.encode(row.prompt))
    completion = row.completion_ids
    if completion is None:
        both = tuple(checkpoint.encode(row.prompt + row.completion))
        if both[: len(prompt)] != prompt:
            merged = checkpoint.tokenizer.convert_ids_to_tokens(list(both[: len(prompt)]))[-3:]
            raise MethodError(
                f"a token merges across the boundary of {row.prompt[-20:]!r} and {row.completion[:20]!r} (tokens "
                f"{merged}), which would move the loss mask: end the prompt, or begin the completion, on a line break"
            )
        completion = both[len(prompt) :]
    if not completion:
        raise MethodError(f"an empty completion after {row.prompt[-40:]!r}: there is nothing to learn, drop the row")
    ids = (*prompt, *completion, end_id(checkpoint))
    first = 0 if row.prompt_in_loss else len(prompt)
    return Tokens(ids, (IGNORED,) * first + ids[first:])


def own_row(policy: Policy, completion: Completion) -> Row:
    """An own completion after the prompt that it answered, in its own tokens without the ending."""
    ids = written(policy.checkpoint, completion)
    return Row(policy.prompt.render(completion.item.question), completion.text, completion_ids=ids)


def end_id(checkpoint: Checkpoint) -> int:
    """The id that ends a completion: the tokenizer's EOS if it is one of the checkpoint's. MethodError if none is."""
    if not checkpoint.eos_ids:
        raise MethodError(f"{checkpoint.name} has no EOS, so a completion cannot be ended: use a checkpoint with one")
    own = checkpoint.tokenizer.eos_token_id
    return int(own) if own in checkpoint.eos_ids else min(checkpoint.eos_ids)


def encode_all(
    checkpoint: Checkpoint, rows: Sequence[Row], max_tokens: int, too_long: str
) -> tuple[list[Tokens], list[int]]:
    """(tokens of the rows that are kept, indices of those that were too long and dropped).

    Raises MethodError for a row that is too long unless `too_long` is "drop", and if no row is left.
    """
    encoded = [encode(checkpoint, row) for row in rows]
    over = [i for i, tokens in enumerate(encoded) if len(tokens.ids) > max_tokens]
    if over and too_long != "drop":
        raise MethodError(
            f"row {over[0]} has {len(encoded[over[0]].ids)} tokens, sft.max_tokens={max_tokens} ({len(over)} of "
            f"{len(rows)} rows are too long; nothing is truncated): raise it, or set sft.too_long=drop"
        )
    kept = [tokens for tokens in encoded if len(tokens.ids) <= max_tokens]
    if not kept:
        raise MethodError(f"no row to train on ({len(over)} of {len(rows)} had more than max_tokens={max_tokens})")
    return kept, over


def steps_of(rows: int, batch: int, epochs: float) -> int:
    """Optimizer steps of this many epochs; the last step is filled up from the next shuffle."""
    return max(1, int(np.ceil(epochs * rows / batch)))


def micro_batches(lengths: Sequence[int], batch: int, steps: int, micro: int, seed: int) -> list[list[int]]:
    """Row numbers of every micro-batch in order, equally many micro-batches in each step.

    A new seeded shuffle for each epoch; within a step rows are sorted by length, so that the padding is small. Which
    rows a step sees does not depend on `micro`. Raises ConfigError if a number is below 1.
    """
    if min(batch, steps, micro, len(lengths)) < 1:
        raise ConfigError(f"batch={batch}, steps={steps}, micro_rows={micro}, rows={len(lengths)}: each at least 1")
    rng = np.random.default_rng(seed)
    epochs = -(-steps * batch // len(lengths))
    order = np.concatenate([rng.permutation(len(lengths)) for _ in range(epochs)])[: steps * batch]
    pieces = -(-batch // micro)
    out: list[list[int]] = []
    for rows_of_step in order.reshape(steps, batch):
        by_length = sorted(rows_of_step.tolist(), key=lambda row: lengths[row])
        out += [part.tolist() for part in np.array_split(np.array(by_length), pieces)]
    return out
