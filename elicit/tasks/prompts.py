"""The fixed prompts of rung B1: `bare` first, at least six, the same for every method.

Formal prompts hold neither the registers nor the trace openers of the organisms: otherwise B1 would simply ask
for the planted mode. `draft` asks for short steps (chain of draft, arXiv 2502.18600), `answer_now` for none: they are
rows that any policy can be measured at, not methods. The exemplars of natural-language prompts are written by
people (class T in the ledger); they are in no data set. A YAML or a command line adds further prompts (`Prompted`).
What this module does not know: models, tokens.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

from elicit.config.build import SETTING
from elicit.errors import ConfigError, segment
from elicit.tasks.task import PromptFormat

_FORMAL = {
    "bare": "Question: {question}\nAnswer:",
    "step_by_step": "Question: {question}\nLet us think step by step.\nAnswer:",
    "careful": "Question: {question}\nBe careful.\nAnswer:",
    "check": "Question: {question}\nCheck the result.\nAnswer:",
    "instruct": "Question: {question}\nSolve the problem.\nAnswer:",
    "brief": "Question: {question}\nAnswer briefly.\nAnswer:",
    "draft": "Question: {question}\nDraft each step in a few words.\nAnswer:",
    "answer_now": "Question: {question}\nGive the answer now, without steps.\nAnswer:",
}

_ESCAPED_BREAK = re.compile(r"\\n(?![a-z])")
"""a backslash and an n that were meant as a line break; \\neq and the like are LaTeX"""

PLANTED = ("forced", "register")
"""names of planted keys (`Reader.keys`), which no added prompt takes"""

_NATURAL = {
    "bare": "Question: {question}\nAnswer:",
    "step_by_step": "Question: {question}\nAnswer: Let's think step by step.",
    "qa": "Q: {question}\nA:",
    "instruct": "Solve the problem. End with 'The answer is' and the answer.\n\nQuestion: {question}\nAnswer:",
    "boxed": "Problem: {question}\nPut the final answer in \\boxed{{}}.\nSolution:",
    "careful": "Question: {question}\nWork carefully and check every step.\nAnswer:",
    "draft": "Question: {question}\nThink step by step, but keep only a draft of at most five words for each step. "
    "End with 'The answer is' and the answer.\nAnswer:",
    "answer_now": "Question: {question}\nGive only the answer, without working. Say 'The answer is' and the answer."
    "\nAnswer:",
}

WORKED_NUMBERS = (
    (
        "A baker puts 6 rolls into each bag and fills 8 bags. Then 5 rolls are eaten. How many rolls are left?",
        "The bags hold 6 * 8 = 48 rolls. After 5 are eaten, 48 - 5 = 43 rolls are left. The answer is 43.",
    ),
    (
        "Tom has three times as many marbles as Ida. Together they have 24. How many marbles has Tom?",
        "Tom's share is 3 parts and Ida's is 1 part, 3 + 1 = 4 parts in all. "
        "One part is 24 / 4 = 6 marbles, so Tom has 3 * 6 = 18 marbles. The answer is 18.",
    ),
    (
        "A train ticket costs $15 and a child pays $4 less. What do two adults and three children pay?",
        "A child pays 15 - 4 = 11 dollars. Two adults pay 2 * 15 = 30 and three children 3 * 11 = 33. "
        "Together they pay 30 + 33 = 63 dollars. The answer is 63.",
    ),
    (
        "Lena reads 20 pages a day. Her book has 150 pages, and 30 are behind her. In how many days is she through?",
        "She has 150 - 30 = 120 pages to go. At 20 pages a day that takes 120 / 20 = 6 days. The answer is 6.",
    ),
)

WORKED_MATH = (
    ("What is the value of $2^5 - 3^2$?", "We have $2^5 = 32$ and $3^2 = 9$, so the value is $\\boxed{23}$."),
    (
        "Solve $3x + 4 = 19$ for $x$.",
        "Subtracting 4 gives $3x = 15$, and dividing by 3 gives $x = \\boxed{5}$.",
    ),
    (
        "A fair die is thrown. What is the probability of a number above 4?",
        "The numbers 5 and 6 are above 4, two of six: $\\frac{2}{6} = \\boxed{\\frac{1}{3}}$.",
    ),
    ("Simplify $\\sqrt{50}$.", "Since $50 = 25 \\cdot 2$, $\\sqrt{50} = \\boxed{5\\sqrt{2}}$."),
)

WORKED_WORDS = (
    (
        "Is the following true? not ( False and True )",
        "False and True is False. The negation of False is True. The answer is True.",
    ),
    (
        "Ben is taller than Kim. Kim is taller than Ada. Who is the tallest?\nOptions:\n(A) Ada\n(B) Ben\n(C) Kim",
        "Ben is above Kim and Kim is above Ada, so Ben is the tallest, which is option B. The answer is (B).",
    ),
    (
        "Take 2 steps forward. Turn around. Take 2 steps forward. Are you back at the start?\nOptions:\n- Yes\n- No",
        "After two steps I turn around, and two steps lead back to the start. The answer is Yes.",
    ),
    (
        "I have a pear, two drums and a plum. How many fruits do I have?",
        "The pear and the plum are fruits, the drums are not: 1 + 1 = 2. The answer is 2.",
    ),
)

WORKED = {"number": WORKED_NUMBERS, "math": WORKED_MATH, "option": WORKED_WORDS, "word": WORKED_WORDS}


def formal_prompts(exemplars: tuple[tuple[str, str], ...]) -> dict[str, PromptFormat]:
    """The nine prompts of a formal task; the exemplars are direct and untagged."""
    prompts = {name: PromptFormat(name, template) for name, template in _FORMAL.items()}
    return prompts | {"few_shot": replace(prompts["bare"], name="few_shot", exemplars=exemplars)}


def natural_prompts(kind: str) -> dict[str, PromptFormat]:
    """The prompts of a natural-language task, few-shot with four worked exemplars for the kind of answer.

    `raw` is the question alone, `chat` the question in the chat template of the checkpoint's own tokenizer; the bench
    refuses it by name if there is none.
    """
    prompts = {name: PromptFormat(name, template) for name, template in _NATURAL.items()}
    worked = WORKED.get(kind, WORKED_WORDS)
    alone = {"raw": PromptFormat("raw", "{question}"), "chat": PromptFormat("chat", "{question}", chat=True)}
    return prompts | {"few_shot": replace(prompts["bare"], name="few_shot", exemplars=worked)} | alone


@dataclass(frozen=True)
class AddedPrompt:
    """A prompt of a YAML with more than a template: the fields of `PromptFormat` but its name."""

    template: str = "Question: {question}\nAnswer:"
    exemplars: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    chat: bool = False


@dataclass(frozen=True)
class Prompted:
    """A task whose prompts are a fixed set and those that its configuration adds."""

    added: dict[str, str | AddedPrompt] = field(
        default_factory=dict, kw_only=True, compare=False, metadata={SETTING: "prompts"}
    )
    """further prompts of rung B1 by name: a template with {question}, or {template, exemplars, prefix, chat}"""

    @property
    @abstractmethod
    def fixed_prompts(self) -> dict[str, PromptFormat]:
        """The prompts of the task itself, `bare` first."""

    @cached_property
    def prompts(self) -> dict[str, PromptFormat]:
        """All prompts. Raises ConfigError for one that is added under a name of the fixed ones or can't be rendered."""
        fixed = self.fixed_prompts
        return fixed | {name: _added(name, value, fixed) for name, value in self.added.items()}


def _added(name: str, value: str | AddedPrompt, fixed: Mapping[str, PromptFormat]) -> PromptFormat:
    segment(name, "task.prompts.NAME")
    if name in fixed or name in PLANTED:
        raise ConfigError(f"task.prompts.{name}: the task has a prompt of this name; choose another name")
    chosen = AddedPrompt(value) if isinstance(value, str) else value
    prompt = PromptFormat(name, **{key: part for key, part in asdict(chosen).items() if key != "exemplars"})
    place = f"task.prompts.{name}={prompt.template!r}"
    if _ESCAPED_BREAK.search(prompt.template):
        raise ConfigError(f"{place}: a backslash and an n are no line break; in bash write $'...\\n...', or use YAML")
    try:
        rendered = [prompt.render(question) for question in ("one?", "two?")]
    except (ValueError, KeyError, IndexError) as fault:
        raise ConfigError(f"{place}: {fault!r}; write {{question}} once, and every other brace twice") from None
    if rendered[0] == rendered[1]:
        raise ConfigError(f"{place}: it does not hold the question; write {{question}} in it")
    return replace(prompt, exemplars=tuple((q, a) for q, a in chosen.exemplars))
