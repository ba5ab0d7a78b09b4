"""From token ids to characters: decoding, character spans, and the stop string that ends a completion.

A stop string may span tokens and may end inside one. Only a token that contains its last character can complete it, so
all others cost one table look-up; then a short tail is decoded, and only a hit there decodes the whole completion.
Byte-level tokenizers split characters over tokens, so spans are found by incremental decoding. Knows nothing of models
or batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

UNFINISHED = "�"
"""what a decoder writes for bytes that are not a complete character (yet)"""


class Decoder:
    """Token ids to text, without EOS and special tokens."""

    def __init__(self, tokenizer: Any, eos_ids: Iterable[int]) -> None:
        self.tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        special = {token for token, content in added.items() if getattr(content, "special", False)}
        self.silent = special | set(tokenizer.all_special_ids) | set(eos_ids)

    @cached_property
    def token_texts(self) -> list[str]:
        """Each token of the tokenizer decoded alone."""
        ids = [[token] for token in range(len(self.tokenizer))]
        return list(self.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False))

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a completion."""
        return self._plain([token for token in token_ids if token not in self.silent])

    def _plain(self, token_ids: Sequence[int]) -> str:
        if not token_ids:
            return ""
        return str(self.tokenizer.decode(token_ids, clean_up_tokenization_spaces=False))

    def tail(self, token_ids: Sequence[int], length: int) -> str:
        """The text of the last `length` tokens that are not silent; its first character may be incomplete."""
        kept: list[int] = []
        for token in reversed(token_ids):
            if token not in self.silent:
                kept.append(token)
                if len(kept) == length:
                    break
        return self._plain(kept[::-1])

    def offsets(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Character span of each token in `decode(token_ids)`.

        Tokens that share one character (its bytes are split) all span it; silent tokens span nothing.
        """
        ids = [int(token) for token in token_ids if token not in self.silent]
        ends = self._ends(ids, window=True)
        if ends is None:
            ends = self._ends(ids, window=False)
        assert ends is not None
        whole = len(self._plain(ids))
        spans, out = deque(_spans(ends, whole)), []
        for token in token_ids:
            here = spans[0][0] if spans else whole
            out.append((here, here) if token in self.silent else spans.popleft())
        return out

    def _ends(self, ids: list[int], window: bool) -> list[int] | None:
        """Number of characters that are final after each token. With `window`, a short window is decoded per token
        (linear time), and None is returned if the pieces do not add up to the text; else each prefix is decoded."""
        ends, length, anchor, read = [], 0, 0, 0
        written: list[str] = []
        for end in range(1, len(ids) + 1):
            before, now = self._plain(ids[anchor:read]), self._plain(ids[anchor:end])
            if not now.endswith(UNFINISHED) and len(now) > len(before):
                written.append(now[len(before) :])
                length += len(now) - len(before)
                anchor, read = (read if window else 0), end
            ends.append(length)
        whole = self._plain(ids)
        text = "".join(written)
        if window and not whole.startswith(text):
            return None
        if ends and len(text) < len(whole):
            ends[-1] = len(whole)
        return ends


def _spans(ends: list[int], length: int) -> list[tuple[int, int]]:
    """Spans from the final lengths: a token that completes no character shares the one that is completed next."""
    spans, start = [], 0
    for end in ends:
        spans.append((start, max(end, min(start + 1, length))))
        start = end
    return spans


class StopFinder:
    """Finds the first stop string of a completion. Built once per tokenizer and set of strings; cheap to call."""

    def __init__(self, decoder: Decoder, strings: Sequence[str], vocabulary: int) -> None:
        self.decoder = decoder
        self.strings = tuple(string for string in strings if string)
        self.tail_tokens = max((len(string.encode()) for string in self.strings), default=0) + 8
        self.may_end_V = self._may_end(vocabulary)

    def _may_end(self, vocabulary: int) -> np.ndarray:
        """Bool [V]: tokens that could complete a stop string. If its last character is a blank or not ASCII, every
        token counts: a token decoded alone may lose it (decoders strip blanks and split characters)."""
        last = {string[-1] for string in self.strings}
        if any(character.isspace() or not character.isascii() for character in last):
            return np.ones(vocabulary, dtype=bool)
        may_end = np.zeros(vocabulary, dtype=bool)
        if last:
            texts = self.decoder.token_texts[:vocabulary]
            may_end[: len(texts)] = [not last.isdisjoint(text) for text in texts]
        return may_end

    def cut(self, token_ids: Sequence[int]) -> str | None:
        """The text before the first stop string; None if the completion has none (yet)."""
        tail = self.decoder.tail(token_ids, self.tail_tokens)
        if not any(string in tail for string in self.strings):
            return None
        text = self.decoder.decode(token_ids)
        starts = [start for start in (text.find(string) for string in self.strings) if start >= 0]
        return text[: min(starts)] if starts else None


class LoopText:
    """The part of `policy.decoding.Loop` that is about text: every engine inherits it.

    `vocabulary`: width of the model's logits.
    """

    def __init__(self, tokenizer: Any, eos_ids: Iterable[int], vocabulary: int) -> None:
        self.tokenizer, self.eos_ids, self._vocabulary = tokenizer, frozenset(eos_ids), vocabulary
        self.decoder = Decoder(tokenizer, self.eos_ids)
        self._finders: dict[tuple[str, ...], StopFinder] = {}

    @property
    def vocabulary(self) -> int:
        """Width of the model's logits."""
        return self._vocabulary

    def finder(self, strings: tuple[str, ...]) -> StopFinder:
        """The finder of these stop strings, made once per loop."""
        if strings not in self._finders:
            self._finders[strings] = StopFinder(self.decoder, strings, self.vocabulary)
        return self._finders[strings]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of completion tokens, without EOS and special tokens."""
        return self.decoder.decode(token_ids)

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text that continues another one: no special tokens."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def offsets(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Character span of each token in `decode(token_ids)`; tokens that share a character all span it."""
        return self.decoder.offsets(token_ids)
