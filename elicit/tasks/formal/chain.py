"""`chain`: arithmetic modulo ten, one operation after the other.

Start with 3. Add 4. Multiply by 7. Keep the last digit.   ->   3 + 4 = 7. 7 * 7 = 9.
"""

from __future__ import annotations

import random
import re
from typing import Any

from elicit.tasks.formal.family import Problem

_STEP = re.compile(r"(\d) ([-+*]) (\d) = (\d)\.")
_WORDS = {
    "plain": ("Start with {}.", {"+": "Add {}.", "-": "Subtract {}.", "*": "Multiply by {}."}),
    "reworded": ("Begin at {}.", {"+": "Plus {}.", "-": "Less {}.", "*": "Times {}."}),
}


def apply_operation(x: int, operation: str, k: int) -> int:
    """x (operation) k modulo 10; `operation` is one of + - *."""
    return {"+": x + k, "-": x - k, "*": x * k}[operation] % 10


class Chain:
    name = "chain"
    skins = ("plain", "reworded")

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem:
        operations: list[tuple[str, int]] = []
        for _ in range(size):
            operation = rng.choice("+-*")
            operations.append((operation, rng.choice((2, 3, 7, 9)) if operation == "*" else rng.randrange(1, 10)))
        facts = {"start": rng.randrange(10), "operations": operations}
        first, words = _WORDS[skin]
        sentences = [first.format(facts["start"]), *(words[o].format(k) for o, k in operations)]
        question = " ".join(sentences) + " Keep the last digit."
        return Problem(self.name, size, skin, question, tuple(self.steps(facts)), self.answer(facts), facts)

    def steps(self, facts: dict[str, Any]) -> list[str]:
        x, out = facts["start"], []
        for operation, k in facts["operations"]:
            y = apply_operation(x, operation, k)
            out.append(f"{x} {operation} {k} = {y}.")
            x = y
        return out

    def answer(self, facts: dict[str, Any]) -> str:
        x = facts["start"]
        for operation, k in facts["operations"]:
            x = apply_operation(x, operation, k)
        return str(x)

    def local_error(self, facts: dict[str, Any], index: int, previous: str | None, step: str) -> tuple[str, str] | None:
        read = _STEP.fullmatch(step)
        if not read:
            return "unreadable", f"{step!r} is not 'x o k = y.'"
        x, operation, k, y = int(read[1]), read[2], int(read[3]), int(read[4])
        start = facts["start"] if previous is None else int(previous[-2])
        if x != start:
            return "broken_link", f"starts from {x}, the state is {start}"
        right_operation, right_k = facts["operations"][index]
        if operation != right_operation:
            return "wrong_rule", f"uses {operation}, the question says {right_operation}"
        if k != right_k:
            return "wrong_premise", f"uses {k}, the question says {right_k}"
        if y != apply_operation(x, operation, k):
            return "wrong_result", f"{x} {operation} {k} is {apply_operation(x, operation, k)}, not {y}"
        return None


FAMILY = Chain()
