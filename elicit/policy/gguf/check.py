"""Is a rebuilt tokenizer right? Ten sentences decide, before a GGUF file is used.

1. Its ids must be those of an independent reading of the file's metadata (reading.py).
2. If the pieces are those of a known family, they must also be the frozen ids of frozen.json, whatever the merges, the
   scores and the pre-tokenizer of this file say.

A tokenizer that fails is refused: a model that reads other tokens than those of its training runs, and all of its
numbers are wrong. Knows no model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elicit.errors import CheckpointError
from elicit.files import content_hash, read_json
from elicit.policy.gguf.reading import read_ids
from elicit.policy.gguf.vocabulary import CONTROL, UNUSED, Vocabulary

FROZEN = Path(__file__).with_name("frozen.json")
SENTENCES = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.",
    "Question: What is 12,345.67 + 890 x 3/4?\nAnswer: 13,013.17 (that's 100% right).",
    "  Two spaces,\ttab,\t\ttwo tabs,\n\nblank line,\r\nWindows line,    four spaces   \n",
    "def add(a, b):\n    # comment\n    return a + b\n\n\nprint(add(1, 2))",
    "I'm sure they'll say we've DONE IT'S best; don't you'd THEY'RE so?",
    "Zażółć gęślą jaźń, İstanbul, naïve café, Straße, Ελληνικά, русский текст, עברית, العربية.",
    "数学问题：小明有３个苹果，他又买了５个。한국어 문장입니다. ハリーポッター",
    "🙂🏽 👩‍👩‍👧 ½ ² √2 ≈ 1.41421356 × 10⁻³ … “quoted” — dash\u00a0no-break\u3000wide",
    "aaaaaaaaaaaaaaaa ======== ........ 000000000000 ---- \\frac{1}{2} <b>bold</b> <0x0A> [INST]",
)


def sentences(vocabulary: Vocabulary) -> list[str]:
    """`SENTENCES`, and one with tokens of the vocabulary that are matched as a whole."""
    first, *rest = [vocabulary.tokens[number] for number in vocabulary.of_type(CONTROL)[:3]] or [""]
    return [*SENTENCES, f"{first}A sentence with an end.{''.join(rest)}\n{first} and one after it{first}"]


def family(vocabulary: Vocabulary) -> str:
    """Hash of the pieces, without those that only fill up a matrix: files with other merges, scores or rules for
    splitting a text are of the same family, and are refused if their ids differ."""
    return content_hash(
        [token for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind != UNUSED]
    )


def check_tokenizer(tokenizer: Any, vocabulary: Vocabulary, file: str) -> None:
    """Raises CheckpointError with the first sentence whose ids differ, and both readings of it."""
    known = read_json(FROZEN).get(family(vocabulary), {"name": "", "ids": {}})
    wanted = [
        *(
            ("the independent reading of its metadata", text, read_ids(vocabulary, text))
            for text in sentences(vocabulary)
        ),
        *((f"the frozen ids of {known['name']}", text, ids) for text, ids in known["ids"].items()),
    ]
    for source, text, others in wanted:
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        if ids == others:
            continue
        at = next(i for i in range(len(ids) + 1) if ids[i : i + 1] != others[i : i + 1])
        here, there = (tokenizer.convert_ids_to_tokens(row[at : at + 4]) for row in (ids, others))
        raise CheckpointError(
            f"{file}: its tokenizer can't be rebuilt: {text!r} becomes {len(ids)} tokens, in {source} {len(others)}; "
            f"from token {at} on {here}, not {there}. Use the safetensors weights with their own tokenizer"
        )
