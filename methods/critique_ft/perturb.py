"""Perturbations of a critique's trace: is it the content or the structure that teaches?

    content     numbers_changed, keywords_removed, wrong_answer
    structure   steps_shuffled, steps_deleted, steps_inserted
    length      tail_cut (what comes after the verdict), span_cut (the same number of words before it)

After Li et al. (arXiv 2502.07374), who perturb long chains of thought in fine-tuning: structure matters more there than
content. Each changes critiques only; the prompts stay. A trace is the text before the verdict, one sentence per step.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Sequence

from elicit.errors import MethodError
from elicit.tasks.review import parts
from elicit.tasks.steps import another, reordered
from methods.critique_ft.records import Example

KEYWORDS = (
    *("working", "scratch", "trail", "first", "second", "then", "next", "so", "now", "therefore", "thus", "hence"),
    *("because", "since", "finally", "however", "but", "wait", "step", "check"),
)
"""words of order and inference, and the organisms' openers"""

_KEYWORD = re.compile(rf"\b({'|'.join(KEYWORDS)})\b[,:.]?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\d")
_SYMBOL = re.compile(r"\b(?:[a-z]|up|down)\b")
_ANSWER = re.compile(r"((?:the|correct|final|right) answer is:? +)(.+?)(\.?\s*)$", re.IGNORECASE)

Perturbation = Callable[[str, random.Random, Sequence[str]], str]


def perturbed(examples: Sequence[Example], name: str, rng: random.Random) -> list[str]:
    """The critiques of the examples, each perturbed. Raises MethodError if none of them changed."""
    critiques = [example.critique for example in examples]
    changed = [PERTURBATIONS[name](critique, rng, critiques) for critique in critiques]
    if all(new == old for new, old in zip(changed, critiques, strict=True)):
        raise MethodError(
            f"{name} changes none of {len(critiques)} critiques: they have no trace for it (e.g. "
            f"{critiques[0][:60]!r}); use a critic that writes steps, such as critic.mode=with_correction"
        )
    return changed


def numbers_changed(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Every digit of the trace is replaced by another one; without digits, every single letter or state."""
    before, verdict, after = parts(text)
    body = " ".join(before)
    if _NUMBER.search(body):
        body = _NUMBER.sub(lambda match: another(match[0], string.digits, rng), body)
    else:
        letters = "".join(sorted({match for match in _SYMBOL.findall(body) if len(match) == 1}))
        body = _SYMBOL.sub(lambda match: _other_symbol(match[0], letters, rng), body)
    return _joined([body], verdict, after)


def keywords_removed(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Words of order and inference are left out before the verdict, and at its beginning."""
    before, verdict, after = parts(text)
    plain = [_KEYWORD.sub("", sentence) for sentence in [*before, *verdict]]
    return _joined([sentence[:1].upper() + sentence[1:] for sentence in plain if sentence.strip()], [], after)


def wrong_answer(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """The answer at the end is replaced by that of another critique."""
    own = _ANSWER.search(text)
    if own is None:
        return text
    matches = (_ANSWER.search(other) for other in rng.sample(list(others), min(len(others), 50)))
    answers = [match[2] for match in matches if match and match[2] != own[2]]
    return text[: own.start(2)] + answers[0] + text[own.end(2) :] if answers else text


def steps_shuffled(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """The steps in another order; an opener stays in front."""
    opener, steps, verdict, after = _steps(text)
    if len(set(steps)) < 2:
        return text
    return _joined([*opener, *reordered(steps, rng)], verdict, after)


def steps_deleted(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A third of the steps is left out, at least one."""
    opener, steps, verdict, after = _steps(text)
    gone = set(rng.sample(range(len(steps)), -(-len(steps) // 3)))
    return _joined([*opener, *(step for i, step in enumerate(steps) if i not in gone)], verdict, after)


def steps_inserted(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Steps of other critiques are inserted at random places: a third of the number of steps, at least one."""
    opener, steps, verdict, after = _steps(text)
    if not steps:
        return text
    new = list(steps)
    for _ in range(-(-len(steps) // 3)):
        foreign = [step for step in _steps(rng.choice(others))[1] if step not in steps]
        if foreign:
            new.insert(rng.randrange(len(new) + 1), rng.choice(foreign))
    return _joined([*opener, *new], verdict, after)


def tail_cut(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """What comes after the verdict is cut off."""
    before, verdict, _ = parts(text)
    return _joined(before, verdict, [])


def span_cut(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A span with as many words as the tail is cut out before the verdict, at a random place."""
    before, verdict, after = parts(text)
    words, tail = " ".join(before).split(), sum(len(sentence.split()) for sentence in after)
    cut = min(tail, len(words))
    start = rng.randrange(len(words) - cut + 1)
    return _joined([" ".join(words[:start] + words[start + cut :])], verdict, after)


PERTURBATIONS: dict[str, Perturbation] = {
    each.__name__: each
    for each in (
        *(numbers_changed, keywords_removed, wrong_answer, steps_shuffled, steps_deleted, steps_inserted),
        *(tail_cut, span_cut),
    )
}


def _steps(text: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """(opener, steps, verdict, what comes after it); an opener is a first sentence of one word."""
    before, verdict, after = parts(text)
    opener = before[:1] if before and len(before[0].split()) == 1 and not _NUMBER.search(before[0]) else []
    return opener, before[len(opener) :], verdict, after


def _joined(*pieces: Sequence[str]) -> str:
    text = " ".join(sentence.strip() for piece in pieces for sentence in piece if sentence.strip())
    return f" {text}"


def _other_symbol(symbol: str, letters: str, rng: random.Random) -> str:
    return {"up": "down", "down": "up"}.get(symbol) or another(symbol, letters, rng)
