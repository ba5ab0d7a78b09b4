r"""Reading the answer out of what a declaration declares: the number, option or formula, not the rest of the sentence.

    content     = [lead] (clause | value [follow] | formula [explanation])
    lead        = markup | "therefore" | "clearly" | "simply" | ...
    clause      = "that" words with one number                            that she sold 72 clips
    value       = number (`unit`)
    follow      = [unit] [explanation]                                    18 | dollars | per day at the farmers' market
    formula     = "$" ... "$" | text up to the explanation
    explanation = ("," | ";" | ":" | "(" | " - " | "because" | "since" | "for" | "in" | ...) anything
    option      = ["option"] ["("] letter [")"] [explanation]  | a sentence that excludes all options but one
    word        = [{ side "=" }] ("yes" | "no" | "true" | "false" | "valid" | "invalid") [explanation]

Refused: a negation (not 5), alternatives (5 or 6, yes and no, (A) or (B)), a list for one number, a retraction (5 is
wrong), and a number followed by words that change it (`unit`). What this module does not know: where an answer is
declared, the gold.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from elicit.tasks.grading import unit
from elicit.tasks.grading.answer import Answer, has_words, is_word, parse
from elicit.tasks.grading.notation import clean
from elicit.tasks.grading.number import MAX_CHARS, TooLarge

WORDS = ("yes", "no", "true", "false", "valid", "invalid")


class Span(NamedTuple):
    """An answer: `text[start:end]` is the number, option or formula, `text[start:unit_end]` has its unit too."""

    start: int
    end: int
    unit_end: int


_LEAD = re.compile(
    r"(?:[\s*_\"“'`>:=]{1,40}|<[a-z]{1,6}>|(?:therefore|thus|hence|then|clearly|simply|just|indeed|exactly|obviously|"
    r"so|also|now|equal to|given by|found to be|precisely)(?:[,:]|(?=\s))){0,8}",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"(?:not|never|neither|isn't|no longer)\b", re.IGNORECASE)
_THAT = re.compile(r"that\s", re.IGNORECASE)
_FORMULA = re.compile(r"\$\$|\$|\\\(|\\\[")
_CLOSES = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_JOINED = re.compile(r"\s?(?:,? (?:and|or) |, |; )(?=\$|\\\()")
_PREFIX = re.compile(r"(?:US)?[$€£₹¥]\s?|\\\$|(?:USD|EUR|GBP|INR|CAD|AUD|Rs\.?)\s|(?:negative|minus)\s", re.IGNORECASE)
_GOES_ON = re.compile(
    r"\s?(?:[+*/^=×·÷!<>\\√{\[|&²³]|[-−–]\s?[\d$\\(a-z](?![a-z])|\d|"
    r"\(\s?mod\b|\((?!\s?[A-Za-z]{2})(?!\d+ [a-z]))|[,.:]\d"
)
_END = re.compile(r"[\s*_\"”'`]{0,20}(?:[.!?)]|<|$|\n)|:\s|\s[-−–—]{1,2}\s|\s?\(")
_COMMA = re.compile(r"\s?[,;]\s{0,3}|\s(?=with (?:a )?remainder|which)")
_TAKEN_BACK = re.compile(
    r"(?:or|but|wait|no|actually|however|and [-\d$]|and \\|not sure|with (?:a )?remainder"
    r"|which (?:is|was) (?:wrong|incorrect|impossible|not (?:right|correct|possible|true)))\b|[-+$\d\\(]",
    re.IGNORECASE,
)
_WORD = re.compile(r"\s*([^\s,;:.!?()*\"”<]+)")
_STOPS = frozenset(
    re.findall(
        r"\S+",
        "a an the for in on at of per every each after before with within during among from because since as "
        "which where so when while if given that altogether overall left there he she it they we i you this these "
        "his her their its into about above across along around between through until today",
    )
)
_EXPLAINS = frozenset(
    re.findall(
        r"\S+",
        "because since as which where when while thus hence meaning so if therefore",
    )
)
_AFTER_COMMA = _EXPLAINS | frozenset(
    re.findall(
        r"\S+",
        "altogether overall in on for not but the he she it they we that this with i after by at from giving "
        "making who",
    )
)
_BREAK = re.compile(r";|,\s|:\s|\s[-–—]{1,2}\s|\s\(|\s(?=[A-Za-z])|<(?=/?[a-z]{1,6}>)")
_NUMBERS = re.compile(r"(?<![\w.,])[-+]?\$?\d++(?:,\d++)*+(?:\.\d++)?(?:/\d++)?(?!\w)")
_BELOW_ZERO = re.compile(
    r"\s?(?:degrees?|°)?\s?(?:celsius|fahrenheit|[CF])?\s?below (?:zero|freezing)\b", re.IGNORECASE
)
_CENTS = re.compile(r"\sdollars?,? and \d{1,2} cents?\b", re.IGNORECASE)
_DECLARES = re.compile(
    r"\\text\s?\{\s?(?:the )?(?:final )?answer(?: is)?:?\s?\}|\\text\s?\{\s?(?:the )?answer is:? ", re.IGNORECASE
)


def number_or_formula(content: str, kind: str) -> Span | None:
    """The answer in the words after "The answer is", for kind number or math; None if they hold none."""
    at = _LEAD.match(content).end()  # type: ignore[union-attr]
    if at == len(content) or _NEGATED.match(content, at):
        return None
    if _THAT.match(content, at):
        found = list(_NUMBERS.finditer(content, at))
        return Span(*found[0].span(), found[0].end()) if len(found) == 1 else None
    opening = _FORMULA.match(content, at)
    span = _delimited(content, opening, kind) if opening else None
    if span is None:
        span = _value(content, at, kind)
    return _formula(content, at, kind) if span is None else span


def _delimited(content: str, opening: re.Match[str], kind: str) -> Span | None:
    r"""A formula between $ and $, with a unit after it; several joined by "and" are a list. A price is none."""
    start, end = opening.start(), opening.end()
    while True:
        closing = content.find(_CLOSES[opening[0]], opening.end())
        if closing < 0:
            return None
        inner = content[opening.end() : closing]
        plain = re.sub(r"\\text\s?\{[^{}]*\}", " ", inner)
        price = inner[:1].isdigit() and (inner != inner.rstrip() or has_words(clean(plain)))
        if not inner.strip() or price or content[closing + 1 : closing + 2].isdigit():
            return None
        end = closing + len(_CLOSES[opening[0]])
        joined = _JOINED.match(content, end)
        following = _FORMULA.match(content, joined.end()) if joined else None
        if following is None:
            break
        opening = following
    if _OPERATOR.match(content, end):
        return None  # $x^2$ + 1
    length = _follow(content, end, kind)
    if parse(content[start:end], kind == "number").value is None:
        rest = _WORD.match(content, end)
        length = None if rest and rest[1].casefold() in ("or", "is", "and", "isn't") else 0
    return None if length is None else Span(start, end, end + length)


_OPERATOR = re.compile(r"\s?(?:[+*/^=<>×·]|[-−]\s?[\d$\\])")


def _value(content: str, at: int, kind: str) -> Span | None:
    """A number with what follows it; None if the content begins with something else or the number continues."""
    prefix = _PREFIX.match(content, at)
    digits = prefix.end() if prefix else at
    length = unit.prefix(content[digits:])
    if length is None:
        return None
    end = digits + length
    amount = _BELOW_ZERO.match(content, end) or _CENTS.match(content, end)
    if amount:
        return Span(at, amount.end(), amount.end())
    follow = None if _GOES_ON.match(content, end) else _follow(content, end, kind)
    return None if follow is None else Span(at, end, end + follow)


def _follow(content: str, at: int, kind: str) -> int | None:
    """How many of the characters after a number are its unit; None if they make it another answer."""
    start = at
    while True:
        if _END.match(content, at) or at >= len(content):
            break
        comma = _COMMA.match(content, at)
        if comma:
            if _TAKEN_BACK.match(content, comma.end()):
                return None
            break
        word = _WORD.match(content, at)
        attached = at == start and content[at].isalpha()  # 6i: a letter, not the pronoun
        if not word or (word[1].casefold() in _STOPS and not attached):
            break
        at = word.end()
    phrase = content[start:at]
    if not phrase.strip(' *_"”'):
        return 0
    found = unit.read(clean(phrase) if "\\" in phrase else phrase.strip("*_\"”'"), kind == "number")
    return None if found is None else len(phrase.rstrip())


def _formula(content: str, at: int, kind: str) -> Span | None:
    """A formula or words, up to an explanation; of a worked-out equation the last side."""
    end = _explained(content, at)
    text = content[at:end].rstrip(" \t*_,")
    if not text:
        return None
    if kind == "number" and number(parse(text, True)).value is None:
        return None
    if "=" in text:
        read = parse(text, kind == "number")
        if read.kind == "number" or (kind == "number" and read.kind == "labelled"):
            at += text.rindex("=") + 1
            at += len(content[at:]) - len(content[at:].lstrip())
            inner = _value(content[:end], at, kind)
            return inner or Span(at, at + len(content[at:end].rstrip()), at + len(content[at:end].rstrip()))
    return Span(at, at + len(text), at + len(text))


def _explained(content: str, at: int) -> int:
    """Where the explanation of a formula or of words begins; the end of the content if there is none."""
    for match in _BREAK.finditer(content, at, at + MAX_CHARS):
        before = content[at : match.start()]
        opened = any(before.count(one) > before.count(other) for one, other in (("{", "}"), ("\\begin", "\\end")))
        if before.strip() and not opened and _begins_explanation(content, match, before):
            return match.start()
    return len(content)


def _begins_explanation(content: str, match: re.Match[str], before: str) -> bool:
    """Whether a sign or a blank between an answer and a word is where the explanation begins."""
    sign, word = match[0].strip(), _WORD.match(content, match.end())
    following = word[1].casefold() if word else ""
    if sign in ("", "<"):
        return sign == "<" or following in _EXPLAINS
    if sign == "," and (_TAKEN_BACK.match(content, match.end()) or following in ("and", "or")):
        return False
    if sign == "," and has_words(clean(before)):  # a list of words continues
        return following in _AFTER_COMMA
    if sign == "(" and following == "mod":
        return False
    return following in _AFTER_COMMA or (is_word(following) and not before.rstrip().endswith("="))


def number(answer: Answer) -> Answer:
    """The value of a number answer: of x = 5 the 5."""
    return answer.parts[0] if answer.kind == "labelled" else answer


def boxed(content: str, kind: str) -> Span | None:
    r"""The answer in a box: all of it, without "\text{The answer is}"; for an option or a word as in a sentence."""
    said = _DECLARES.match(content)
    start = said.end() if said else 0
    end = len(content.rstrip())
    if said and not said[0].endswith("}") and content[:end].endswith("}"):
        end -= 1
    if kind == "option":
        return option(content)
    return Span(start, end, end) if content[start:end].strip() else None


_OPTION = re.compile(
    r"(?:\\text(?:bf|rm|it)?\s?\{)?\s?(?:(?:option|choice|answer|letter)\s)?[*_$\"“]{0,3}(?:\\text(?:bf|rm|it)?\s?\{)?"
    r"(?:\(\s?([A-Za-z])\s?\)|([A-Za-z])(?![A-Za-z]|['’-][A-Za-z0-9]))",
    re.IGNORECASE,
)
_MENTIONED = re.compile(r"\(([A-Za-z])\)")
_EXCLUDED = re.compile(
    r"(?:\bnot|\brul(?:es?|ed|ing) out|\bexclud(?:es?|ed|ing)|\beliminat(?:es?|ed|ing)|\brather than|\binstead of|"
    r"\b(?:all|any\w{0,5}) but|\bexcept|\bneither|\bnor|\bisn't|\bagainst)\s(?:(?:option|choice|is)\s)?"
    r"(?:\([A-Za-z]\)(?:,? (?:and|or|nor) |, )?){1,8}"
    r"|(?:\([A-Za-z]\)(?:,? and |, | )){1,8}"
    r"(?:(?:is|was|are|were) (?:not|out)\b|(?:(?:is|was|are|were) )?"
    r"(?:wrong|incorrect|false|excluded|eliminated|ruled out|impossible)\b)",
    re.IGNORECASE,
)
_OTHER_OPTION = re.compile(
    r"[\s*_\"”]{0,3}(?:,? ?(?:or|and|nor)|[,/&]|\s?\\text\s?\{,? ?(?:or|and) ?\})\s?"
    r"(?:\([A-Za-z]\)|[A-Z](?![A-Za-z']))|\s?\([A-Za-z]\)"
)
_UNSAID = re.compile(
    r"[\s*_\"”]{0,3}(?:(?:is|was) (?:not|wrong|incorrect|false|out|excluded|eliminated|ruled out)|isn't|excluded)\b",
    re.IGNORECASE,
)
_ONE_WORD = re.compile(r"\s(?:because|since|as|which|is|was|and|with|for|by|in|so|[-–—])\b|\s?[-–—(]", re.IGNORECASE)


def option(content: str) -> Span | None:
    """The letter of the choice that a sentence or a box declares; None if it declares none, or more than one."""
    at = _LEAD.match(content).end()  # type: ignore[union-attr]
    match = _OPTION.match(content, at)
    if match and _is_choice(content, match):
        start, end = match.span(1) if match[1] else match.span(2)
        bracketed = match[1] is not None
        if not _EXCLUDED.match(content, start - bracketed) and not _UNSAID.match(content, match.end()):
            alone = not _OTHER_OPTION.match(content, match.end())
            return Span(start - bracketed, end + bracketed, end + bracketed) if alone else None
    left = _EXCLUDED.sub(lambda m: " " * len(m[0]), content)
    mentioned = list(_MENTIONED.finditer(left))
    if len({one[1].upper() for one in mentioned}) != 1:
        return None
    return Span(*mentioned[-1].span(), mentioned[-1].end())


def _is_choice(content: str, match: re.Match[str]) -> bool:
    """Whether a letter is a choice and no article: "C because ..." and "b." are, "a falcon" is not."""
    rest, letter = content[match.end() : match.end() + 20], match[2]
    if match[1] or re.match(r"[\s*_\"”$}]{0,4}(?:[.,:;)!]|$|\n|<)", rest):
        return True
    return letter.isupper() and (letter not in "AI" or _ONE_WORD.match(rest) is not None)


_ANY_WORD = "|".join(WORDS)
_SAID = re.compile(rf"(?:- )?({_ANY_WORD})\b", re.IGNORECASE)
_OTHER_WORD = re.compile(
    rf"[\s*_]{{1,3}}(?:or\b|and (?:not\b|\(|(?:{_ANY_WORD})\b))|[\s*_]{{0,3}}[,/]\s?(?:(?:or|and)\s)?(?:{_ANY_WORD})\b",
    re.IGNORECASE,
)


def word(content: str) -> Span | None:
    """Yes or no, true or false, valid or invalid; of a worked-out formula the last side."""
    sides = content.rpartition("=")
    at = len(sides[0]) + 1 if sides[1] else 0
    at = _LEAD.match(content, at).end()  # type: ignore[union-attr]
    found = _SAID.match(content, at)
    if not found or _OTHER_WORD.match(content, found.end()):
        return None
    return Span(found.start(1), found.end(1), found.end(1))


def readable(text: str, kind: str) -> bool:
    """Whether a text as a whole is a number with its unit or a formula, no sentence; for math also a name."""
    if _TALKS.match(text):
        return False
    try:
        found = parse(text, kind == "number")
    except TooLarge:
        return True
    if found.value is not None or kind == "number":
        return number(found).value is not None
    return not has_words(clean(text)) or _NAME.fullmatch(text) is not None


_TALKS = re.compile(r"(?:so|therefore|thus|hence|then|we|i|it|that|this|is|and|but|maybe|because|if)\b", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_]{2,30}(?:[ -][^\W\d_]{2,30})?")


def single_value(content: str, kind: str) -> Span | None:
    """The only number of a sentence that hedges ("maybe 5"); None if there are several, or words that change it."""
    found = list(_NUMBERS.finditer(content))
    if len(found) != 1 or _LEAVES_OPEN.search(content):
        return None
    end = found[0].end()
    return None if _GOES_ON.match(content, end) or _follow(content, end, kind) is None else Span(*found[0].span(), end)


_LEAVES_OPEN = re.compile(r"\b(?:can)?not\b|n't\b|\bor\b|\band\b|\bbetween\b|\bthan\b|\bneither\b", re.IGNORECASE)


_CLAUSE = re.compile(r"[,;]\s(?:because|since|which|as shown)\b|\s\((?=[a-z]{3})", re.IGNORECASE)


def words(content: str) -> Span | None:
    """Words as they are written, up to a clause that explains them."""
    clause = _CLAUSE.search(content)
    end = clause.start() if clause else len(content)
    start = len(content[:end]) - len(content[:end].lstrip(' \n*_"“`:'))
    end = len(content[:end].rstrip(' \n*_"”`'))
    return Span(start, end, end) if end > start else None
