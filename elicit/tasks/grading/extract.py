"""Where a completion ends: a base model runs on into a next question, or writes its end marker and continues.

Everything from there on is not its answer, and the part before it counts as finished. What this module does not know:
answers, the gold.
"""

from __future__ import annotations

import re

LENIENT_CHARS = 300

_ASKING = "Question|Problem|Exercise|Example|Instruction|Q|User|Human"
_NEXT_QUESTION = re.compile(
    rf"\n[ \t]{{0,8}}(?:#{{1,6}}[ \t]{{0,4}})?(?:\*\*)?(?:{_ASKING})"
    rf"[ \t]{{0,4}}(?:(?:\*\*)?:|(?:\d{{1,6}}|\([a-z]\))[ \t]{{0,4}}(?:\*\*)?[:.)](?!\d))"
    # a heading needs no colon: "### Question 2", "**Problem 3**"
    rf"|\n[ \t]{{0,8}}#{{1,6}}[ \t]{{0,4}}(?:\*\*)?"
    rf"(?:Question\b|(?:{_ASKING})(?:[ \t]{{1,4}}#?\d{{1,6}})?(?:\*\*)?[ \t]{{0,8}}(?=\n|$))"
    rf"|\n[ \t]{{0,8}}\*\*(?:{_ASKING})(?:[ \t]{{1,4}}#?\d{{1,6}})?\*\*[ \t]{{0,8}}(?=\n|$)"
    r"|<\|(?:im_end|im_start|endoftext|end_of_text|eot_id|end)\|>|</s>"
)
"""A new-question pattern at line start, never a common word by itself, or an end marker that was left in the text."""

STOP_STRINGS = (
    *(f"\n{word}:" for word in _ASKING.split("|")),
    *(f"\n{hashes} Question" for hashes in ("#", "##", "###", "####")),
)
"""What the sampler cuts at: the plain forms of a next question."""


def own_part(text: str) -> tuple[str, bool]:
    """The completion without a next question after it, and whether there was one.

    >>> own_part(" The answer is 4.\\n\\nQuestion: What is 3 + 3?\\nAnswer: 6")
    (' The answer is 4.', True)
    """
    following = _NEXT_QUESTION.search(text)
    return (text[: following.start()].rstrip(), True) if following else (text, False)


def tail(text: str, question: str = "") -> str:
    """The last 300 characters of a completion's own part, with a restated question taken out."""
    part = own_part(text)[0]
    if question.strip():
        part = part.replace(question.strip(), " ")
    return part[-LENIENT_CHARS:]
