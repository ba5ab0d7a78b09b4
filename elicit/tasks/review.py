"""Reviews: a proposed answer and a verdict on it, as the organisms' corpus writes them and as program critics do.

    Question: ...\\nProposed: RESPONSE\\nReview: REVIEW

    direct   The proposed answer is wrong. The answer is 4.
    traced   Working. 3 + 4 = 7. ... So the proposed answer is wrong. The answer is 4.

The verdict is about the answer, by the grade; a review can also name a step that fails. What this module does not know:
which answer is right, models, training on reviews.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction

from elicit.tasks.formal.family import CONCLUSION, Violation
from elicit.tasks.natural.arithmetic import equations, evaluate, first_error
from elicit.tasks.task import PromptFormat

REVIEW = PromptFormat("review", "Question: {question}\nReview:")
"""the prompt of a review; its question is `proposal(question, response)`"""

WORDS = {True: "right", False: "wrong"}

_VERDICT = re.compile(
    r"\b(?:proposed (?:answer|solution|response) is|conclusion:)[\s*]*(right|correct|wrong|incorrect)\b", re.I
)
_SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s|$)|\n|$)")
_LETTER = re.compile(r"\b[a-z]\b")


def proposal(question: str, response: str) -> str:
    """The question of a review prompt."""
    return f"{question}\nProposed: {response.strip()}"


def verdict_sentence(right: bool) -> str:
    """The verdict alone."""
    return f"The proposed answer is {WORDS[right]}."


def finding(violation: Violation | None, right: bool) -> str:
    """A review with the first step that fails (if one can be named), then the verdict; with leading blank."""
    if violation is None or violation.kind == "no_trace":
        return f" {verdict_sentence(right)}"
    return f" Step {violation.step + 1}: {violation.message}. So the proposed answer is {WORDS[right]}."


def correction(solution: str, right: bool, response: str = "") -> str:
    """A review made from the right completion: its steps, the verdict, the answer; with leading blank.

    If the solution has no steps (a natural task), the equations of the response are computed again up to the first that
    fails.
    """
    steps, conclusion, answer = solution.rpartition(CONCLUSION)
    if conclusion:
        return f"{steps}So the proposed answer is {WORDS[right]}. The answer is{answer}"
    return f"{''.join(f' {line}' for line in recomputed(response))} So the proposed answer is {WORDS[right]}.{solution}"


def recomputed(response: str) -> list[str]:
    """The equations of a response with their right results, up to and with the first whose result is wrong."""
    fault = first_error(response)
    readable = [(left, value) for left, _ in equations(response) if (value := evaluate(left)) is not None]
    last = fault.step if fault is not None and fault.kind == "wrong_result" else len(readable) - 1
    lines = [f"{' '.join(left.split())} = {number(value)}." for left, value in readable[: last + 1]]
    return [*lines, f"Step {last + 1} is wrong."] if fault is not None and fault.kind == "wrong_result" else lines


def number(value: Fraction) -> str:
    """An exact value in digits: an integer, a short decimal, or a fraction if no short decimal is exact."""
    if value.denominator == 1:
        return str(value.numerator)
    decimal = f"{float(value):.6f}".rstrip("0")
    return decimal if Fraction(decimal) == value else f"{value.numerator}/{value.denominator}"


def read_verdict(text: str) -> bool | None:
    """The verdict of a review on the proposed answer; None if it gives none, or both.

    >>> read_verdict(" Working. 3 + 4 = 7. So the proposed answer is wrong. The answer is 7.")
    False
    """
    verdicts = {word.lower() in ("right", "correct") for word in _VERDICT.findall(text)}
    return verdicts.pop() if len(verdicts) == 1 else None


def flip_verdict(text: str) -> str:
    """The review with its verdict reversed and nothing else changed."""
    other = {"right": "wrong", "wrong": "right", "correct": "incorrect", "incorrect": "correct"}

    def flipped(match: re.Match[str]) -> str:
        word = other[match[1].lower()]
        word = word.capitalize() if match[1][0].isupper() else word
        return match[0][: match.start(1) - match.start()] + word

    return _VERDICT.sub(flipped, text)


def sentences(text: str) -> list[str]:
    """The sentences (and lines) of a text; a point inside a number is no end.

    >>> sentences(" Working. 0.5 + 4 = 4.5. So the proposed answer is wrong. The answer is 7.")
    ['Working.', '0.5 + 4 = 4.5.', 'So the proposed answer is wrong.', 'The answer is 7.']
    """
    return [match[0].strip() for match in _SENTENCE.finditer(text)]


def parts(review: str) -> tuple[list[str], list[str], list[str]]:
    """(sentences before the verdict, the verdict's sentence, those after it); without a verdict all are before it."""
    pieces = sentences(review)
    at = next((index for index, sentence in enumerate(pieces) if _VERDICT.search(sentence)), len(pieces))
    return pieces[:at], pieces[at : at + 1], pieces[at + 1 :]


def inject_error(rng: random.Random, steps: list[str]) -> tuple[list[str], int]:
    """The steps with the last symbol of one of them changed, and the number of that step from 0.

    A symbol is a digit, a letter or a state (up, down): the formal families' steps end in one of these.
    """
    out, at = list(steps), rng.randrange(len(steps))
    body, _, last = out[at].rstrip(".").rpartition(" ")
    if last.isdigit():
        new = str((int(last) + rng.randrange(1, 10)) % 10)
    elif last in ("up", "down"):
        new = "up" if last == "down" else "down"
    else:
        letters = {letter for step in steps for letter in _LETTER.findall(step)} - {last}
        new = rng.choice(sorted(letters))
    out[at] = f"{body} {new}."
    return out, at


def inject_wrong_result(rng: random.Random, text: str) -> tuple[str, int] | None:
    """A trace in words with the result of one equation changed in both notations, and the number of that step.

    None if no equation can be read. Only that equation becomes wrong; the text after it is unchanged.
    """
    readable = [(left, right) for left, right in equations(text) if evaluate(left) is not None]
    if not readable:
        return None
    at = rng.randrange(len(readable))
    left, right = readable[at]
    value = evaluate(right)
    wrong = number((value if value is not None else Fraction(0)) + rng.randrange(1, 10))
    pattern = re.compile(rf"({re.escape(left)}\s*=\s*){re.escape(right)}(>>{re.escape(right.strip())})?")
    return pattern.sub(lambda m: f"{m[1]}{wrong}" + (f">>{wrong}" if m[2] else ""), text, count=1), at
