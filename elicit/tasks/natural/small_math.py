"""Small arithmetic with headroom for small bases: generated, in symbols, in words and as one- and two-step stories.

    symbols    Calculate 47 - 9 * 3.                                                        ->   20
    words      What is forty-seven plus thirty-eight?                                       ->   85
    compare    Which number is larger, 8.9 or 8.11?                                         ->   8.9
    one_step   Mira has 14 shells and finds 9 more. How many shells does Mira have now?     ->   23
    two_step   Omar buys 6 bags of 5 plums and eats 4 plums. How many plums are left?       ->   26

The stories, names and objects are ours and are in no data set. Splits by content hash of the question; every item has
a worked solution, and the validator checks the equations that a trace writes (`arithmetic`).
What this module does not know: files, models.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from elicit.errors import ConfigError, near
from elicit.files import seed_of
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.tasks.grading import extract
from elicit.tasks.natural.arithmetic import evaluate, first_error
from elicit.tasks.natural.task import NaturalTask
from elicit.tasks.prompts import natural_prompts
from elicit.tasks.splits import distinct_items
from elicit.tasks.task import SPLITS, PromptFormat, make_item

_SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}

NAMES = (
    *("Ada", "Amir", "Bela", "Carlos", "Chen", "Dina", "Elif", "Farah", "Goran", "Hana", "Ivo", "Jonas", "Kemal"),
    *("Lena", "Mira", "Nadia", "Omar", "Pia", "Quinn", "Rosa", "Samir", "Tova", "Uma", "Viktor", "Wanda", "Yusuf"),
)
THINGS = (
    *("apples", "beads", "books", "buttons", "candles", "cards", "coins", "cookies", "cups", "eggs", "flowers", "keys"),
    *("lemons", "marbles", "nails", "oranges", "pencils", "plums", "postcards", "ribbons", "shells", "stamps", "tiles"),
)
BOXES = ("bags", "boxes", "baskets", "crates", "drawers", "jars", "packs", "rows", "shelves", "trays")


@dataclass(frozen=True)
class Story:
    """A question with slots and its solution, one expression for each step; {r} is the result of the step before.

    Slots: {name}, {other}, {things}, {boxes}; {a}, {b} up to the task's `largest`; {m}, {n} from 2 to 12.
    """

    text: str
    steps: tuple[str, ...]


ONE_STEP = (
    Story("{name} has {a} {things} and finds {b} more. How many {things} does {name} have now?", ("{a} + {b}",)),
    Story("{name} had {a} {things} and gave {b} of them to {other}. How many {things} are left?", ("{a} - {b}",)),
    Story("There are {m} {boxes} with {n} {things} each. How many {things} are there in all?", ("{m} * {n}",)),
    Story("{name} has {a} {things}, {other} has {b}. How many {things} do they have together?", ("{a} + {b}",)),
    Story("{name} has {a} {things}. That is {b} more than {other} has. How many has {other}?", ("{a} - {b}",)),
    Story("{name} packs {a} {things} into {m} {boxes}, equally many into each. How many go into one?", ("{a} / {m}",)),
    Story("A shop had {a} {things} and sold {b}. How many {things} remain in the shop?", ("{a} - {b}",)),
    Story("{name} needs {a} {things} and has {b}. How many {things} are missing?", ("{a} - {b}",)),
    Story("One of the {things} costs {m} dollars. How many dollars do {n} {things} cost?", ("{m} * {n}",)),
    Story("{name} walks {m} kilometres every day. How many kilometres is that in {n} days?", ("{m} * {n}",)),
    Story("Of {a} {things}, {b} are red and the others are blue. How many are blue?", ("{a} - {b}",)),
    Story("{name} is {a} years old. How old will {name} be in {m} years?", ("{a} + {m}",)),
)

TWO_STEP = (
    Story(
        "{name} buys {m} {boxes} of {n} {things} and loses {b} {things}. How many are left?", ("{m} * {n}", "{r} - {b}")
    ),
    Story(
        "{name} has {a} {things} and gets {m} {boxes} with {n} {things} each. How many {things} does {name} have now?",
        ("{m} * {n}", "{a} + {r}"),
    ),
    Story(
        "{name} has {a} {things}, {other} has {b}. They share them among {m} children. How many gets each child?",
        ("{a} + {b}", "{r} / {m}"),
    ),
    Story(
        "A shop had {a} {things}, sold {b} in the morning and {m} in the afternoon. How many {things} are left?",
        ("{a} - {b}", "{r} - {m}"),
    ),
    Story(
        "{name} has {a} {things}. {other} has {b} fewer. How many {things} do they have together?",
        ("{a} - {b}", "{a} + {r}"),
    ),
    Story(
        "{name} reads {m} pages on each of {n} days, then {b} pages more. How many pages is that?",
        ("{m} * {n}", "{r} + {b}"),
    ),
    Story(
        "{name} has {a} dollars and buys {m} {things} for {n} dollars each. How many dollars are left?",
        ("{m} * {n}", "{a} - {r}"),
    ),
    Story(
        "{name} had {a} {things}, gave {b} to {other} and then found {m}. How many {things} does {name} have now?",
        ("{a} - {b}", "{r} + {m}"),
    ),
    Story(
        "{m} {boxes} hold {n} {things} each. {name} takes out {b} {things} in all. How many {things} stay inside?",
        ("{m} * {n}", "{r} - {b}"),
    ),
    Story(
        "{name} is {a} years old and {other} is {m} years younger. How old are they together?",
        ("{a} - {m}", "{a} + {r}"),
    ),
    Story(
        "Of {a} {things}, {b} are broken. The others go into {m} {boxes}, as many into each. How many go into one?",
        ("{a} - {b}", "{r} / {m}"),
    ),
    Story(
        "{name} earns {m} dollars an hour, works {n} hours and then spends {b} dollars. How many dollars remain?",
        ("{m} * {n}", "{r} - {b}"),
    ),
)

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SPOKEN = {"+": "plus", "-": "minus", "*": "times"}
_ASKING = ("What is {}?", "Calculate {}.", "Work out {}.", "Find the value of {}.", "How much is {}?")

Drawn = tuple[str, str, tuple[str, ...]]
"""question, gold, steps of the solution"""


def spoken(number: int) -> str:
    """A number below 1000 in English words.

    >>> spoken(347)
    'three hundred and forty-seven'
    """
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    return f"{_ONES[number // 100]} hundred" + (f" and {spoken(number % 100)}" if number % 100 else "")


@dataclass(frozen=True)
class SmallMath(NaturalTask):
    """One family of small arithmetic problems; every answer is a non-negative integer (`compare`: a decimal)."""

    max_new_tokens: int = 96
    family: str = "two_step"
    operands: int = 2
    """how many numbers an expression of `symbols` and `words` has"""
    largest: int = 50
    """bound of the numbers that are added and subtracted; factors go up to 12"""
    n_train: int = 2_000
    n_dev: int = 500
    n_test: int = 500
    generator_seed: int = 0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigError(f"family={self.family!r} is no family of small_math; {near(self.family, FAMILIES)}")
        if not 2 <= self.operands <= 5 or not 10 <= self.largest <= 999:
            raise ConfigError(
                f"operands={self.operands}, largest={self.largest}: need 2 to 5 operands and a bound of 10 to 999"
            )

    @property
    def name(self) -> str:
        return f"small_math/{self.family}{self.operands if self.family in ('symbols', 'words') else ''}"

    @property
    def kind(self) -> str:
        return "number"

    @property
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        """The natural prompts, the exemplars from this family: four problems that no split can hold."""
        rng = random.Random(seed_of("elicit.tasks.small_math", self.name, "exemplars"))
        shots: list[tuple[str, str]] = []
        while len(shots) < 4:
            drawn = FAMILIES[self.family](self, rng)
            if drawn:
                shots.append((drawn[0], f"{' '.join(drawn[2])} The answer is {drawn[1]}."))
        return natural_prompts("number") | {"few_shot": PromptFormat("few_shot", exemplars=tuple(shots))}

    def load(self) -> dict[str, list[Item]]:
        wanted = zip(SPLITS, (self.n_train, self.n_dev, self.n_test), strict=True)
        return {split: self._generate(split, number) for split, number in wanted}

    def _generate(self, split: str, wanted: int) -> list[Item]:
        rng = random.Random(seed_of("elicit.tasks.small_math", self.name, self.largest, split, self.generator_seed))
        shown = {question for question, _ in self.prompts["few_shot"].exemplars}

        def draw() -> Item | None:
            drawn = FAMILIES[self.family](self, rng)
            if drawn is None or drawn[0] in shown:
                return None
            question, gold, steps = drawn
            return make_item(self.name, split, question, gold, None, {"steps": list(steps)})

        return distinct_items(self.name, split, wanted, _SHARES, draw)

    def gold_trace(self, item: Item) -> str:
        """The worked solution and the answer."""
        return f" {' '.join(item.facts['steps'])}{self.gold_completion(item)}"

    @property
    def has_validator(self) -> bool:
        return self.family != "compare"

    def validate(self, item: Item, text: str) -> Violation | None:
        return first_error(extract.own_part(text)[0])


def _expression(task: SmallMath, rng: random.Random) -> tuple[list[int], list[str], str, int] | None:
    """Numbers, signs, the expression in symbols and its value; None if the value is below 0."""
    signs = [rng.choice("++--*") for _ in range(task.operands - 1)]
    if signs.count("*") > 1:
        return None
    numbers = [rng.randint(2, task.largest) for _ in range(task.operands)]
    for at, sign in enumerate(signs):
        if sign == "*":
            numbers[at], numbers[at + 1] = rng.randint(2, 12), rng.randint(2, 12)
    text = str(numbers[0]) + "".join(f" {sign} {number}" for sign, number in zip(signs, numbers[1:], strict=True))
    value = evaluate(text)
    return (numbers, signs, text, int(value)) if value is not None and value >= 0 else None


def _symbols(task: SmallMath, rng: random.Random) -> Drawn | None:
    found = _expression(task, rng)
    return found and (rng.choice(_ASKING).format(found[2]), str(found[3]), (f"{found[2]} = {found[3]}.",))


def _words(task: SmallMath, rng: random.Random) -> Drawn | None:
    found = _expression(task, rng)
    if found is None:
        return None
    numbers, signs, text, value = found
    said = spoken(numbers[0])
    for sign, number in zip(signs, numbers[1:], strict=True):
        said += f" {_SPOKEN[sign]} {spoken(number)}"
    return rng.choice(_ASKING).format(said), str(value), (f"{text} = {value}.",)


def _compare(task: SmallMath, rng: random.Random) -> Drawn | None:
    """Two decimals with the same whole part and fractions of different length."""
    whole, short, long = rng.randint(0, task.largest), rng.randint(1, 9), rng.randint(10, 99)
    if long % 10 == 0 or long // 10 == short:
        return None
    pair = [f"{whole}.{short}", f"{whole}.{long}"]
    rng.shuffle(pair)
    word = rng.choice(("larger", "smaller"))
    gold = (max if word == "larger" else min)(pair, key=float)
    other = pair[1 - pair.index(gold)]
    return f"Which number is {word}, {pair[0]} or {pair[1]}?", gold, (f"{gold} is {word} than {other}.",)


def _story(stories: tuple[Story, ...]) -> Callable[[SmallMath, random.Random], Drawn | None]:
    def draw(task: SmallMath, rng: random.Random) -> Drawn | None:
        story = rng.choice(stories)
        # the story stays and its numbers are drawn again: otherwise stories with a division would be rare
        for _ in range(200):
            name, other = rng.sample(NAMES, 2)
            slots: dict[str, str | int] = {"name": name, "other": other}
            slots |= {"things": rng.choice(THINGS), "boxes": rng.choice(BOXES)}
            slots |= {"a": rng.randint(2, task.largest), "b": rng.randint(2, task.largest)}
            slots |= {"m": rng.randint(2, 12), "n": rng.randint(2, 12)}
            said = []
            for step in story.steps:
                value = evaluate(step.format(**slots))
                if value is None or value.denominator != 1 or value <= 0:
                    break
                said.append(f"{step.format(**slots)} = {value}.")
                slots["r"] = int(value)
            else:
                return story.text.format(**slots), str(slots["r"]), tuple(said)
        return None

    return draw


FAMILIES: dict[str, Callable[[SmallMath, random.Random], Drawn | None]] = {
    "symbols": _symbols,
    "words": _words,
    "compare": _compare,
    "one_step": _story(ONE_STEP),
    "two_step": _story(TWO_STEP),
}
