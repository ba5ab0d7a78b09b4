"""`deduction`: is a statement true of a made-up creature? ProntoQA-style (arXiv 2210.01240), with a proof as its trace.

    Every wumpus is a tumpus. Every tumpus is not red. Sam is a wumpus. ... True or false: Sam is red?   ->   false

    Sam is a wumpus, every wumpus is a tumpus, so Sam is a tumpus. Sam is a tumpus, every tumpus is not red, so ...

Half of the sentences are distractors: a second chain, which does not apply to the creature and ends in the opposite
of the first, so looking the property up does not give the answer. `size` is the number of deduction steps.

The validator reads premises, rules and conclusions in any order and in either wording, with or without "so", and
names the first invalid step: a premise that was not stated, a rule that is not in the question, or a conclusion
that does not follow *in one step* from what is established (the strict validity of the paper). A valid step that
leads nowhere is no fault; a proof that does not reach the asked statement is. What this module
does not know: prompts, models.
"""

from __future__ import annotations

import itertools
import random
import re
from typing import Any, NamedTuple

from elicit.errors import ConfigError
from elicit.tasks.formal.family import Problem, Violation

KINDS_OF_CREATURE = (
    *("wumpus", "tumpus", "yumpus", "zumpus", "dumpus", "rompus", "numpus", "vumpus", "impus", "jompus", "lorpus"),
    *("sterpus", "grimpus", "shumpus", "lempus", "gorpus", "brimpus", "terpus", "fompus", "parpus", "borpus", "kelpus"),
    *("quimpus", "harpus", "drampus", "wompus", "felpus", "sorpus", "mompus", "trelpus"),
)
PROPERTIES = ("red", "blue", "small", "large", "bright", "dull", "loud", "quiet", "happy", "shy", "cold", "hot")
NAMES = ("Sam", "Max", "Fae", "Rex", "Sally", "Alex", "Polly", "Stella", "Wren")
_WORDS = {
    "plain": ("Every {} is {}{}.", "True or false: {} is {}{}?"),
    "reworded": ("All {}es are {}{}.", "Is it true or false that {} is {}{}?"),
}
_CLAUSE = re.compile(
    r"(?:(?P<every>every|each|all) )?(?P<subject>[a-z]+?)(?P<plural>es)? "
    r"(?:is|are) (?P<no>not )?(?:an? )?(?P<what>[a-z]+)"
)


class Claim(NamedTuple):
    """`subject` is (not) `what`: a rule about a kind, or a fact about the creature."""

    rule: bool
    subject: str
    positive: bool
    what: str


def read_claim(text: str) -> Claim | None:
    """The claim of a clause; None if it is none.

    >>> read_claim("All wumpuses are not red")
    Claim(rule=True, subject='wumpus', positive=False, what='red')
    """
    read = _CLAUSE.fullmatch(" ".join(text.casefold().split()))
    if not read:
        return None
    what = read["what"].removesuffix("es") if read["what"].endswith("puses") else read["what"]
    subject = read["subject"] + (read["plural"] or "")
    subject = subject.removesuffix("es") if subject.endswith("puses") else subject
    return Claim(bool(read["every"]), subject, not read["no"], what)


class Deduction:
    name = "deduction"
    skins = ("plain", "reworded")

    def problem(self, rng: random.Random, size: int, skin: str = "plain") -> Problem:
        """`size` deduction steps: size - 1 from kind to kind, the last to a property."""
        if not 1 <= size <= len(KINDS_OF_CREATURE) // 2:
            raise ConfigError(f"deduction of size {size}: take 1-{len(KINDS_OF_CREATURE) // 2} steps")
        kinds = rng.sample(KINDS_OF_CREATURE, 2 * size)
        what, positive = rng.choice(PROPERTIES), rng.random() < 0.5
        chains = [(kinds[:size], positive), (kinds[size:], not positive)]
        rules = [[a, True, b] for chain, _ in chains for a, b in itertools.pairwise(chain)]
        rules += [[chain[-1], sign, what] for chain, sign in chains]
        rng.shuffle(rules)
        facts = {
            "name": rng.choice(NAMES),
            "kind": kinds[0],
            "rules": rules,
            "ask": [rng.random() < 0.5, what],
            "place": rng.randrange(len(rules) + 1),
        }
        return Problem(
            self.name, size, skin, _question(facts, skin), tuple(self.steps(facts)), self.answer(facts), facts
        )

    def steps(self, facts: dict[str, Any]) -> list[str]:
        name, at, out = facts["name"], facts["kind"], []
        after = {subject: (sign, what) for subject, sign, what in facts["rules"]}
        while at in after:
            sign, what = after[at]
            given = f"{name} is {article(at)}, every {at} is {negation(sign)}{article(what)}"
            out.append(f"{given}, so {name} is {negation(sign)}{article(what)}.")
            at = what
        return out

    def answer(self, facts: dict[str, Any]) -> str:
        sign, what = facts["ask"]
        return "true" if Claim(False, facts["name"].casefold(), sign, what) in _closure(facts) else "false"

    def local_error(self, facts: dict[str, Any], index: int, previous: str | None, step: str) -> tuple[str, str] | None:
        """Judge one step; the claims of the step before it count as established."""
        established = {_stated(facts)}
        before = [claim for claim in _clauses(previous or "")[1] if not claim.rule]
        return self._fault(facts, established | set(before), step)

    def first_error(self, facts: dict[str, Any], steps: list[str], conclusion: str | None) -> Violation | None:
        """The first step that does not follow, or a proof that misses the asked statement, or a wrong conclusion."""
        established = {_stated(facts)}
        for index, step in enumerate(steps):
            fault = self._fault(facts, established, step)
            if fault:
                return Violation(index, *fault)
            established |= {claim for claim in _clauses(step)[1] if not claim.rule}
        sign, what = facts["ask"]
        asked = Claim(False, facts["name"].casefold(), sign, what)
        if not {asked, asked._replace(positive=not sign)} & established:
            return Violation(len(steps), "missing_step", f"nothing shows whether {facts['name']} is {what}")
        if conclusion is None or conclusion.casefold() != self.answer(facts):
            return Violation(len(steps), "wrong_conclusion", f"{conclusion!r} after {steps[-1]!r}")
        return None

    def _fault(self, facts: dict[str, Any], established: set[Claim], step: str) -> tuple[str, str] | None:
        readable, claims = _clauses(step)
        if not readable or not claims:
            return "unreadable", f"{step!r} holds a clause that is no claim about {facts['name']} or about a kind"
        rules = _rules(facts)
        for index, claim in enumerate(claims):
            if claim.rule and claim not in rules:
                return "wrong_premise", f"the question does not say: {_in_words(claim)}"
            if claim.rule or claim in established:
                continue
            if index < len(claims) - 1:
                return "broken_link", f"not established: {_in_words(claim)}"
            if claim not in _one_step(established, rules):
                return self._unfounded(facts, claim)
        return None

    def _unfounded(self, facts: dict[str, Any], claim: Claim) -> tuple[str, str]:
        if claim._replace(positive=not claim.positive) in _closure(facts):
            return "wrong_result", f"the opposite follows: {_in_words(claim)}"
        later = " yet (steps are left out)" if claim in _closure(facts) else ""
        return "unsupported", f"does not follow{later}: {_in_words(claim)}"


def article(word: str) -> str:
    """A kind with its article, a property as it is."""
    return word if word in PROPERTIES else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def negation(positive: bool) -> str:
    return "" if positive else "not "


def _question(facts: dict[str, Any], skin: str) -> str:
    rule, ask = _WORDS[skin]
    plural = {word: f"{word}es" for word in KINDS_OF_CREATURE} if skin == "reworded" else {}
    sentences = [rule.format(a, negation(sign), plural.get(b) or article(b)) for a, sign, b in facts["rules"]]
    sentences.insert(facts["place"], f"{facts['name']} is {article(facts['kind'])}.")
    return f"{' '.join(sentences)} {ask.format(facts['name'], negation(facts['ask'][0]), facts['ask'][1])}"


def _clauses(step: str) -> tuple[bool, list[Claim]]:
    """(every clause is a claim, the claims in order)."""
    parts = re.split(r",\s*(?:and\s+)?|(?<!\s)\s+and\s+|;\s*", step.strip().rstrip("."))
    parts = [re.sub(r"^(?:so|therefore|thus|since|because|hence)\s+", "", part.strip(), flags=re.I) for part in parts]
    claims = [read_claim(part) for part in parts if part]
    return None not in claims, [claim for claim in claims if claim is not None]


def _stated(facts: dict[str, Any]) -> Claim:
    return Claim(False, facts["name"].casefold(), True, facts["kind"])


def _rules(facts: dict[str, Any]) -> set[Claim]:
    return {Claim(True, subject, sign, what) for subject, sign, what in facts["rules"]}


def _one_step(established: set[Claim], rules: set[Claim]) -> set[Claim]:
    return {
        Claim(False, fact.subject, rule.positive, rule.what)
        for fact in established
        for rule in rules
        if fact.positive and rule.subject == fact.what
    }


def _closure(facts: dict[str, Any]) -> set[Claim]:
    """Everything that follows about the creature."""
    claims, rules = {_stated(facts)}, _rules(facts)
    while more := _one_step(claims, rules) - claims:
        claims |= more
    return claims


def _in_words(claim: Claim) -> str:
    return f"{'every ' if claim.rule else ''}{claim.subject} is {negation(claim.positive)}{claim.what}"


FAMILY = Deduction()
