"""An independent reading of a vocabulary: text to ids by the published algorithms, slowly, in plain Python.

    llama   SentencePiece BPE, as in llama.cpp's `llm_tokenizer_spm`: of all neighbours whose concatenation is a piece,
            join the two that give the piece with the best score, leftmost first; then bytes for what is no piece
    gpt2    byte-level BPE, as in llama.cpp's `llm_tokenizer_bpe`: split the text into words, write each byte as a
            printable character, join the pair with the lowest rank, leftmost first

Control and user-defined tokens are taken out of the text before, longest first. This module checks the tokenizer that
is used (tokenizer.py) and shares nothing with it: not the merges made of scores, no line of the `tokenizers` library,
and no regular expression with Unicode classes. As in llama.cpp, the expressions run on a text in which each character
is replaced by its class.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

from elicit.policy.gguf.vocabulary import CONTROL, NORMAL, UNKNOWN, USER_DEFINED, Vocabulary

APOSTROPHE = "sdmtrevlSDMTREVL"
"""letters of the English contractions are kept; other letters are L, numbers N, blanks B, the rest P"""
_LETTER, _NUMBER, _OTHER, _SPACE = f"[L{APOSTROPHE}]", "N", "[P']", r"[B \r\n]"
_SPACES = rf"{_SPACE}+(?!{_LETTER}|{_NUMBER}|{_OTHER})|{_SPACE}+"
_GPT2 = rf"'(?:s|t|re|ve|m|ll|d)| ?{_LETTER}+| ?{_NUMBER}+| ?{_OTHER}+|{_SPACES}"
_CASELESS = "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
_MODERN = rf"{_CASELESS}|[P'B ]?{_LETTER}+|{_NUMBER}%s| ?{_OTHER}+[\r\n]*|{_SPACE}*[\r\n]+|{_SPACES}"
SPLITS: dict[str, tuple[str, ...]] = {
    "gpt2": (_GPT2,),
    "digits": (_NUMBER, _GPT2),
    "qwen2": (_MODERN % "",),
    "llama3": (_MODERN % "{1,3}",),
}
"""expressions on classes, applied one after the other to what the one before has cut"""


def read_ids(vocabulary: Vocabulary, text: str) -> list[int]:
    """Token ids of a text without BOS; the tokens in it that are matched as a whole are recognised."""
    encode = _sentencepiece if vocabulary.kind == "llama" else _byte_level
    special = sorted(
        vocabulary.of_type(CONTROL, USER_DEFINED, UNKNOWN), key=lambda number: -len(vocabulary.tokens[number])
    )
    parts: list[str | int] = [text] if text else []
    for number in special:
        token = vocabulary.tokens[number]
        if token and token in text:
            parts = [piece for part in parts for piece in _taken_out(part, token, number)]
    return [number for part in parts for number in ([part] if isinstance(part, int) else encode(vocabulary, part))]


def _taken_out(part: str | int, token: str, number: int) -> list[str | int]:
    if isinstance(part, int):
        return [part]
    pieces: list[str | int] = []
    for piece in part.split(token):
        pieces += [piece, number] if piece else [number]
    return pieces[:-1]


def _sentencepiece(vocabulary: Vocabulary, text: str) -> list[int]:
    text = (" " if vocabulary.space_prefix else "") + text
    pieces = _joined(list(text.replace(" ", "▁")), lambda left, right: _minus_score(vocabulary, left + right))
    numbers: list[int] = []
    for piece in pieces:
        spelled = [piece] if piece in vocabulary.ids else [f"<0x{byte:02X}>" for byte in piece.encode()]
        if all(part in vocabulary.ids for part in spelled):
            numbers += [vocabulary.ids[part] for part in spelled]
        elif vocabulary.unknown is not None and numbers[-1:] != [vocabulary.unknown]:
            numbers.append(vocabulary.unknown)
    return numbers


def _minus_score(vocabulary: Vocabulary, piece: str) -> float | None:
    number = vocabulary.ids.get(piece)
    return None if number is None or vocabulary.types[number] != NORMAL else -vocabulary.scores[number]


def _byte_level(vocabulary: Vocabulary, text: str) -> list[int]:
    if vocabulary.split == "qwen2":  # the metadata does not say so, but Qwen's own tokenizer composes characters
        text = unicodedata.normalize("NFC", text)
    numbers: list[int] = []
    for word in words(vocabulary.split, text):
        written = "".join(_PRINTABLE[byte] for byte in word.encode())
        if vocabulary.split == "llama3" and written in vocabulary.ids:  # a word in the vocabulary is never split
            pieces = [written]
        else:
            pieces = _joined(list(written), lambda left, right: vocabulary.ranks.get((left, right)))
        numbers += [vocabulary.ids[piece] for piece in pieces if piece in vocabulary.ids]
    return numbers


def words(split: str, text: str) -> list[str]:
    """The words of a text, in which a byte-level BPE merges separately."""
    fragments = [text]
    for expression in SPLITS[split]:
        fragments = [piece for fragment in fragments for piece in _cut(fragment, expression)]
    return fragments


def _cut(text: str, expression: str) -> list[str]:
    ends = [0]
    for match in re.finditer(expression, "".join(map(_character_class, text))):
        ends += [match.start(), match.end()]
    ends.append(len(text))
    return [text[begin:end] for begin, end in pairwise(ends) if begin < end]


def _character_class(character: str) -> str:
    if character in APOSTROPHE or character in "' \r\n":
        return character
    kind = unicodedata.category(character)[0]
    blank = character.isspace() and character not in "\x1c\x1d\x1e\x1f"
    return {"L": "L", "N": "N"}.get(kind, "B" if blank else "P")


def _joined(pieces: list[str], rank: Callable[[str, str], float | None]) -> list[str]:
    """Join neighbours until none has a rank: lowest rank first, then leftmost."""
    while True:
        ranks = [
            (value, at) for at in range(len(pieces) - 1) if (value := rank(pieces[at], pieces[at + 1])) is not None
        ]
        if not ranks:
            return pieces
        _, at = min(ranks)
        pieces = [*pieces[:at], pieces[at] + pieces[at + 1], *pieces[at + 2 :]]


def _printable() -> dict[int, str]:
    """GPT-2's table: printable Latin-1 bytes are kept, the others become characters from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(others)}


_PRINTABLE = _printable()
