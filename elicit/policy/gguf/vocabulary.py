"""The tokenizer section of a GGUF file (`tokenizer.ggml.*`), with the defaults of llama.cpp for what is absent.

A vocabulary that could not be followed exactly is refused here, with the reason: another kind of tokenizer, an unknown
pre-tokenizer, missing scores or merges. Knows no tokenizer library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from elicit.errors import CheckpointError, near

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""token types"""
PRE_TOKENIZERS = {
    "gpt-2": "gpt2",
    "smollm": "digits", "starcoder": "digits", "refact": "digits",
    "qwen2": "qwen2",
    "llama-bpe": "llama3", "llama3": "llama3", "llama-v3": "llama3",
}  # fmt: skip
"""`tokenizer.ggml.pre` of a byte-level BPE -> how it splits a text before merging, see reading.py"""
END_TOKENS = (
    *("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<|return|>"),
    *("<end_of_turn>", "</s>", "<eos>", "<EOT>", "<|EOT|>", "<end_of_utterance>", "<|endofturn|>"),
)
"""control tokens that end a text whatever the file names as EOS, as in llama.cpp (`special_eog_ids`). A model that was
asked without its chat template ends with <|endoftext|>, though its file names <|im_end|> alone"""


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about its tokenizer."""

    kind: str
    """llama (SentencePiece BPE: pieces with scores) or gpt2 (byte-level BPE: merges)"""
    split: str
    """of `PRE_TOKENIZERS`; none for llama"""
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    scores: tuple[float, ...]
    """of a llama kind: a piece with a higher score is merged first"""
    merges: tuple[tuple[str, str], ...]
    """of a gpt2 kind, in the order of priority"""
    add_bos: bool
    space_prefix: bool
    bos: int | None
    eos: int | None
    unknown: int | None
    pad: int | None
    chat_template: str | None

    @cached_property
    def ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    def of_type(self, *types: int) -> list[int]:
        """Ids of all tokens of these types."""
        return [number for number, kind in enumerate(self.types) if kind in types]

    def end_ids(self) -> list[int]:
        """Ids that end a text: the file's EOS and the control tokens of `END_TOKENS`."""
        named = {number for number in self.of_type(CONTROL) if self.tokens[number] in END_TOKENS}
        return sorted(named | ({self.eos} if self.eos is not None else set()))


def read_vocabulary(metadata: Mapping[str, Any], file: str) -> Vocabulary:
    """Raises CheckpointError, which begins with `file`, for a tokenizer that this module does not know."""

    def stated(name: str, default: Any = None) -> Any:
        return metadata.get(f"tokenizer.ggml.{name}", default)

    def refuse(fault: str) -> CheckpointError:
        return CheckpointError(f"{file}: {fault}; use the safetensors weights with their own tokenizer")

    # 1) what changes a text before it is cut into tokens is not followed
    for name in ("precompiled_charsmap", "remove_extra_whitespaces"):
        if stated(name):
            raise refuse(f"tokenizer.ggml.{name}: normalised text is not known")
    # 2) the kind, and how a text is split before merging
    kind, pre = stated("model"), stated("pre")
    if kind not in ("llama", "gpt2"):
        raise refuse(
            f"tokenizer.ggml.model={kind!r}: only llama (SentencePiece BPE) and gpt2 (byte-level BPE) are known"
        )
    if kind == "gpt2" and pre not in PRE_TOKENIZERS:
        raise refuse(
            f"tokenizer.ggml.pre={pre!r}: its rule for splitting a text is not known; {near(str(pre), PRE_TOKENIZERS)}"
        )
    # 3) the pieces
    tokens = tuple(stated("tokens", ()))
    needed = {"llama": "scores", "gpt2": "merges"}[kind]
    lengths = {name: len(stated(name, ())) for name in ("token_type", *(("scores",) if kind == "llama" else ()))}
    if stated(needed) is None or not tokens or any(length != len(tokens) for length in lengths.values()):
        raise refuse(
            f"{len(tokens)} tokens, {lengths}: a tokenizer of kind {kind} needs tokens, token_type and {needed}"
        )
    if len(set(tokens)) != len(tokens):
        raise refuse(f"{len(tokens) - len(set(tokens))} tokens are in the vocabulary twice")
    merges = tuple(_pair(merge) for merge in stated("merges", ())) if kind == "gpt2" else ()
    known = set(tokens)
    if strange := [pair for pair in merges if not {*pair, "".join(pair)} <= known]:
        raise refuse(f"{len(strange)} merges of pieces that are not in the vocabulary, such as {strange[0]}")
    # 4) what may be absent
    llama3 = kind == "gpt2" and PRE_TOKENIZERS[pre] == "llama3"
    return Vocabulary(
        kind,
        PRE_TOKENIZERS[pre] if kind == "gpt2" else "none",
        tokens,
        tuple(stated("token_type")),
        tuple(stated("scores", ())) if kind == "llama" else (),
        merges,
        bool(stated("add_bos_token", kind == "llama" or llama3)),
        bool(stated("add_space_prefix", kind == "llama")),
        stated("bos_token_id"),
        stated("eos_token_id"),
        stated("unknown_token_id"),
        stated("padding_token_id"),
        metadata.get("tokenizer.chat_template"),
    )


def _pair(merge: str) -> tuple[str, str]:
    """The first half may itself begin with a space."""
    cut = merge.index(" ", 1)
    return merge[:cut], merge[cut + 1 :]
