r"""One way to write an answer: what carries no meaning is removed, what has several spellings gets one.

    removed   math delimiters, emphasis, quotes, currency signs, HTML tags, special tokens, \left, \!, end punctuation
    one form  √2 -> \sqrt{2}    x² -> x^{2}    pi/2 -> \pi/2    {3 \over 14} -> \frac{3}{14}    \mbox{cm} -> \text{cm}
              11,\! 111 -> 11111     \\frac (escaped twice) -> \frac     ½ -> 1/2     50\% -> 50%

Row breaks (`\\`) of a matrix are kept: a backslash pair is read as one token, so that no spacing command is read in
its second half. Every pattern looks at a bounded number of characters per position, so the time is linear in the text.
What this module does not know: what an answer is.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SIGNS = {
    "π": r"\pi ", "∞": r"\infty ", "∅": r"\emptyset ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "×": r"\times ",
    "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/", "−": "-", "–": "-", "‐": "-", "⁄": "/", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "…": r"\ldots ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "≡": r"\equiv ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "θ": r"\theta ", "λ": r"\lambda ",
    "μ": r"\mu ", "σ": r"\sigma ", "φ": r"\phi ", "ω": r"\omega ", "ℝ": r"\mathbb{R}", "⟨": r"\langle ",
    "⟩": r"\rangle ", "′": "'", "’": "'", "½": " 1/2 ", "⅓": " 1/3 ", "⅔": " 2/3 ", "¼": " 1/4 ", "¾": " 3/4 ",
    "⅕": " 1/5 ", "⅖": " 2/5 ", "⅗": " 3/5 ", "⅘": " 4/5 ", "⅙": " 1/6 ", "⅚": " 5/6 ", "⅛": " 1/8 ", "⅜": " 3/8 ",
    "⅝": " 5/8 ", "⅞": " 7/8 ", "\u200b": "", "\ufeff": "",
}  # fmt: skip
_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_TRANSLATED = str.maketrans(_SIGNS | _FULL_WIDTH)
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "₀₁₂₃₄₅₆₇₈₉"
_LEVEL = str.maketrans(_RAISED + _LOWERED, "0123456789+-n0123456789")
_COMMANDS = "pi|theta|phi|alpha|beta|gamma|delta|lambda|mu|sigma|omega|infty|sin|cos|tan|cot|log|ln|exp"

_MARKUP = re.compile(
    r"<\|[^<>|\n]{0,40}\|>|</s>|</?(?:b|i|em|strong|u|br|p|span|sub|sup|code|answer|div|think)\s?/?>", re.IGNORECASE
)
_NAMES = r"frac|dfrac|tfrac|sqrt|boxed|text|pi|left|right|begin|end|cdot|times|infty|pm|le|ge|in|cup"
_ESCAPED_TWICE = re.compile(rf"\\\\(?:{_NAMES})(?![A-Za-z])")
_BACKSLASHES = re.compile(r"\\+")
_ROOT_SIGN = re.compile(r"(?:√|(?<![\\A-Za-z])sqrt)\s?(\d{1,40}(?:\.\d{1,40})?|[A-Za-z](?![A-Za-z])|\([^()]{1,80}\))")
_SHORT_ROOT = re.compile(r"\\sqrt\s?(?=[0-9A-Za-z])([0-9A-Za-z])")
_OVER = re.compile(r"\{([^{}]{0,200}?)\\over(?![A-Za-z])([^{}]{0,200})\}")
_CHOOSE = re.compile(r"\{([^{}]{0,200}?)\\choose(?![A-Za-z])([^{}]{0,200})\}")
_SEPARATED = re.compile(r"(?<=\d)(?:\{,\}|,?\\!\s?|\\[,: ]|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))")
_REWRITES = (
    (re.compile(rf"[{_RAISED}]{{1,40}}"), lambda m: f"^{{{m[0].translate(_LEVEL)}}}"),
    (re.compile(rf"[{_LOWERED}]{{1,40}}"), lambda m: f"_{{{m[0].translate(_LEVEL)}}}"),
    (_ROOT_SIGN, lambda m: rf"\sqrt{{{m[1]}}}"),
    (re.compile(rf"(?<![\\A-Za-z])({_COMMANDS})(?![A-Za-z])"), lambda m: rf"\{m[1]} "),
    (re.compile(r"(?<![\\A-Za-z])infinity(?![A-Za-z])", re.IGNORECASE), lambda _: r"\infty "),
    (_SEPARATED, lambda _: ""),
    # a pair of backslashes is a row break: it is matched first and stays
    (re.compile(r"\\\\|\\!|\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![A-Za-z])"),
     lambda m: m[0] if m[0] == "\\\\" else ""),
    (re.compile(r"\\\\|\\[,;: \n]|\\q?quad(?![A-Za-z])|~|[\u00a0\u2009\u202f]"),
     lambda m: m[0] if m[0] == "\\\\" else " "),
    (re.compile(r"\\\\|\\[()\[\]$]|[$€£₹¥]"), lambda m: m[0] if m[0] == "\\\\" else ""),
    (re.compile(r"\\\\|\\([%#&])"), lambda m: m[1] or m[0]),
    (re.compile(r"\\[dt]frac(?![A-Za-z])"), lambda _: r"\frac"),
    (re.compile(r"\\(?:mbox|mathrm|textrm|textbf|textit|textsf|texttt|operatorname\*?)(?=\s?\{)"), lambda _: r"\text"),
    (re.compile(r"\\(?:text)?color\s?\{[A-Za-z]{1,20}\}"), lambda _: ""),
    (re.compile(r"\\(?:underline|mathbf|boldsymbol|bm|boxed|fbox|mathit|vec)(?=\s?\{)"), lambda _: ""),
    (re.compile(r"\\(?:leq|leqslant|geq|geqslant|neq)(?![A-Za-z])"), lambda m: m[0][:3]),
    (re.compile(r"\\(?:lt|gt)(?![A-Za-z])"), lambda m: "<" if m[0] == r"\lt" else ">"),
    (re.compile(r"\\varnothing(?![A-Za-z])|\\\{\s?\\\}"), lambda _: r"\emptyset "),
    (re.compile(r"\\[lc]?dots(?![A-Za-z])|\.\.\."), lambda _: r"\ldots "),
    (re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\degree(?![A-Za-z])"), lambda _: "°"),
    (_CHOOSE, lambda m: rf"\binom{{{m[1].strip()}}}{{{m[2].strip()}}}"),
    (_OVER, lambda m: rf"\frac{{{m[1].strip()}}}{{{m[2].strip()}}}"),
    (_SHORT_ROOT, lambda m: rf"\sqrt{{{m[1]}}}"),
)  # fmt: skip
_PLAIN = re.compile(r"[-+]?[\d.,]+")
_ENDS = " \t\n\r\"'`“”‘’«»*_"


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    r"""An answer in one way of writing.

    >>> clean("**$\\left(1,\\,3√2\\right)$.**")
    '(1, 3\\sqrt{2})'
    """
    text = text.strip(_ENDS)
    if not _PLAIN.fullmatch(text):
        text = _rewritten(text)
    return text.strip(_ENDS).lstrip(_ENDS + "=:").rstrip(_ENDS + ".,;:")


def _rewritten(text: str) -> str:
    text = _MARKUP.sub("", text).translate(_TRANSLATED)
    if _ESCAPED_TWICE.search(text) and all(len(run) % 2 == 0 for run in _BACKSLASHES.findall(text)):
        text = text.replace("\\\\", "\\")
    if text.isascii() and not any(sign in text for sign in "\\$√~^{") and not _WORDS.search(text):
        return " ".join(text.replace("...", r"\ldots ").split())
    for pattern, new in _REWRITES:
        text = pattern.sub(new, text)
    return " ".join(text.split())


_WORDS = re.compile(rf"(?<![A-Za-z])(?:{_COMMANDS}|infinity|sqrt)", re.IGNORECASE)
