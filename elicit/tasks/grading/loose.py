"""What Math-Verify reads off a text, where that can be said without Math-Verify and SymPy.

    box      the content of the one box that it looks at before everything around it
    number   the number or sum that it takes from a text without formulas, as it writes it

Its parser tries groups of patterns by priority, and of a group the match that ends last; the patterns for text without
formulas stand here as they stand there (math-verify 0.8, `parser.py`, Apache 2.0), and `tests/tasks/test_loose.py`
holds them against it. What this module does not know: gold answers, equality.
"""

from __future__ import annotations

import re

_SIGNS = r"\+\-\*\×\/\^\(\)\÷"
_SUM = rf"(?P<sum>-?\(?-?\d[\d\.\s{_SIGNS}]*[{_SIGNS}][\d\.\s{_SIGNS}]+\)?)"
_NUMBER = (
    r"(?<!\d)(?:(?P<whole1>-?[1-9]\d{0,2}(?:[ ,]\d{3})+)(?P<part1>\.\d+)?|(?P<whole2>-?\d+)(?P<part2>[.,]\d+)"
    r"|(?P<part3>\.\d+)|(?P<whole3>-?\d+))(?:\s*(?:%|[Pp]ercent|\s*[Pp]ercentage|\s*[Pp]ct))?"
)
_CURRENCY = re.escape("$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₴₵₶₷₸₹₺₻₼₽₾₿")
_START = r"(?:^|\s|\=)(?:\*\*)?"
_ANY_SUM = rf"(?:{_START}{_SUM}(?:\*\*)?(?:\.|,|:|\s|\)|\$|$))"
_ANY_NUMBER = rf"(?:{_START}[{_CURRENCY}]?{_NUMBER})"
_EITHER = rf"(?:{_ANY_SUM}|{_ANY_NUMBER})"
_FINAL = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?i:final answer is)\:?\s*{_EITHER}\.?\s?I hope",
        rf"(?i:final answer.{{0,100}}?)\s+is\:?{_EITHER}",
    )
)
_GROUPS = (
    *((pattern,) for pattern in _FINAL),
    (re.compile(rf"(?i:answer):(?:.{{0,100}}=\s*|.{{0,50}}?){_EITHER}(?!\s*=)"),),
    (re.compile(rf"(?i:answer)(?:.{{0,100}}=\s*|.{{0,50}}?){_EITHER}(?!\s*=)"),),
    (re.compile(_ANY_SUM), re.compile(_ANY_NUMBER)),
)
_FORMULA = re.compile(r"[\\\[]|\$\$|\$[^\n$]+\$")
_BOX = re.compile(r"\\boxed\{")
_SCALED = re.compile(r"\\fbox|percent|pct|%", re.IGNORECASE)
_CUT = re.compile(r"\$|\\[)\]]|answer", re.IGNORECASE)


def number(tail: str) -> str | None:
    """The number or sum that is read off a text without formulas, "" where none is; None for a text with formulas.

    >>> number("3 * 12 = 36. The answer is 36 apples a day, or $1,200 in 2 years.")
    '36'
    """
    if _FORMULA.search(tail):
        return None
    for group in _GROUPS:
        found = [match for pattern in group for match in pattern.finditer(tail)]
        if found:
            return _written(max(found, key=lambda match: (match.end(), -match.start())))
    return ""


def _written(match: re.Match[str]) -> str:
    groups = match.groupdict()
    whole = next((groups[name] for name in ("whole1", "whole2", "whole3") if groups.get(name)), "")
    part = next((groups[name] for name in ("part1", "part2", "part3") if groups.get(name)), "")
    if not whole and not part:
        return groups.get("sum") or ""
    return (whole.replace(",", "").replace(" ", "").lstrip("0") or "0") + part.replace(",", ".")


def box(tail: str) -> str | None:
    """What stands in the one box of a text, where Math-Verify looks at this box before everything around it.

    It looks for boxes before anything but a "final answer"; "percent" behind a box would scale its content, and a
    formula that ends inside of the box would cut it. None in all these cases, and where the box stays open.

    >>> box("By step 7 the value is $x = \\\\boxed{x+1}$.")
    'x+1'
    """
    match = _BOX.search(tail)
    if not match or tail.count("\\boxed") != 1 or _SCALED.search(tail) or _final(tail, match.start()):
        return None
    said = _closed(tail, match.end())
    cut = _CUT.search(said) or ("]" in said and "[" in tail[: match.start()])
    return None if cut or not said.strip() else said


def _final(tail: str, at: int) -> bool:
    """Whether a "final answer" could be read before the box that stands at `at`."""
    if "final answer" not in tail.casefold():
        return False
    around = tail[:at] + tail[at + len("\\boxed") :]
    return bool(_FORMULA.search(around) or any(pattern.search(tail) for pattern in _FINAL))


def _closed(text: str, start: int) -> str:
    """From `start` to the brace that closes there; "" where it stays open."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start:at]
    return ""
