"""A plain restatement of equality by kind `math` for single expressions: SymPy's own, no normal form, no pool."""

from __future__ import annotations

import re
from typing import Any


def equal(gold: str, answer: str) -> bool:
    """Whether the difference of two expressions is zero, exactly or at a hundred random points to thirty digits."""
    import sympy

    difference = sympy.sympify(sympified(gold)) - sympy.sympify(sympified(answer))
    if sympy.expand(difference) == 0:
        return True
    names = sorted(difference.free_symbols, key=str)
    return all(_vanishes(difference, names, at) for at in range(3))


def _vanishes(difference: Any, names: list[Any], at: int) -> bool:
    import sympy

    values = {name: sympy.Rational(7 * i + 3 + at, 5) for i, name in enumerate(names)}
    return bool(abs(sympy.N(difference.subs(values), 40)) < sympy.Float("1e-30", 40))


def sympified(text: str) -> str:
    r"""The small LaTeX of the tests as SymPy's own syntax: \frac{a}{b}, \sqrt{a}, \pi, \cdot, products of letters."""
    text = text.replace(" ", "").replace(r"\pi", "@").replace(r"\cdot", "*").replace(r"\dfrac", r"\frac")
    text = re.sub(r"\^\{(\d+)\}", r"**\1", text)
    for _ in range(text.count("\\")):
        text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)
        text = re.sub(r"\\sqrt\{([^{}]*)\}", r"(%(\1))", text)
    text = text.replace("{", "(").replace("}", ")").replace("^", "**")
    text = re.sub(r"(?<=[\dA-Za-z@)])(?=[A-Za-z@(%])", "*", text)
    return text.replace("@", "pi").replace("%", "sqrt")
