"""What a task is: items in disjoint splits, a verifier of answers, and if possible of traces.

A task knows problems and answers as text. It knows no model, no tokens and no sampling; prompts
are formats that the policy renders. Torch is never imported from `elicit.tasks`.

Every task proves itself without a model (`elicit.tasks.selfcheck`): it accepts its gold, rejects
its corruption, and its splits share no content hash.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

from elicit.files import content_hash
from elicit.records import Item
from elicit.tasks.formal.family import Violation
from elicit.watch import announce_gold

SPLITS = ("train", "dev", "test")
SHIFTS = ("test_task", "test_length", "test_format")


@dataclass(frozen=True)
class Answer:
    """The answers that were read in a completion; None: no answer could be read."""

    strict: str | None
    lenient: str | None


@dataclass(frozen=True)
class Judgement:
    """A grade before it is a row. `strict=None`: ungraded, and `ungraded` gives the reason.

    `first` is a third reading next to strict and lenient: the verdict on the first complete declaration anywhere in the
    completion, whatever follows it (a right answer followed by rambling), and `first_answer` is that answer. None if
    the task has no such reading, or if the verdict is open.
    """

    strict: bool | None
    lenient: bool | None
    answer: str | None
    answer_class: str | None
    ungraded: str | None = None
    first: bool | None = None
    """verdict on the first complete declaration, whatever follows it; None: the task has no such reading"""
    first_answer: str | None = None


@dataclass(frozen=True)
class PromptFormat:
    """One way of asking. `template` holds `{question}`; exemplars are put in front, blank line between."""

    name: str
    template: str = "Question: {question}\nAnswer:"
    exemplars: tuple[tuple[str, str], ...] = ()
    """(question, full answer text) pairs written by people: class T in the ledger"""
    prefix: str = ""
    """forced text after the prompt, such as an opener (ceiling C4)"""
    chat: bool = False
    """rendered as the turn of a user by the chat template of the checkpoint's tokenizer (`Policy.prompt_ids`)"""

    @property
    def id(self) -> str:
        """Hash of the content; a format without `chat` has the id that it had before there was this field."""
        plain = asdict(self)
        return content_hash(plain if self.chat else {key: plain[key] for key in plain if key != "chat"})

    def render(self, question: str) -> str:
        """The plain-text prompt of one question."""
        shots = [self.template.format(question=q) + " " + a for q, a in self.exemplars]
        return "\n\n".join([*shots, self.template.format(question=question)]) + self.prefix


@dataclass(frozen=True)
class StopRules:
    """Where a completion ends besides EOS: strings that end it if they occur in the decoded tail, and are cut off."""

    strings: tuple[str, ...] = ("\n\nQuestion:", "\nQuestion:")
    max_new_tokens: int = 128


class Reader(Protocol):
    """How to ask, where to stop, how to read an answer: what strategies and methods see of a task. No item, no gold."""

    @property
    def name(self) -> str: ...

    @property
    def prompts(self) -> dict[str, PromptFormat]:
        """The fixed set of rung B1, `bare` first; at least six."""
        ...

    @property
    def keys(self) -> dict[str, PromptFormat]:
        """Prompts with a planted key, no part of B1 (`forced` is ceiling C4); empty if nothing was planted."""
        return {}

    @property
    def stop(self) -> StopRules: ...

    def extract(self, text: str, finished: bool) -> Answer:
        """Strict and lenient answers of a completion; strict only of a finished one."""
        ...

    def answer_class(self, answer: str) -> str:
        """Canonical form of an extracted answer: "1,000", "1000" and "1000.0" are one vote."""
        ...

    def answer_span(self, text: str) -> tuple[int, int] | None:
        """Character span of the stated answer in a completion, for CoT-decoding; None without one."""
        ...


class Task(Reader, Protocol):
    """The interface of every task."""

    def splits(self) -> tuple[str, ...]:
        """The splits (and shift axes) that the task has."""
        ...

    def items(self, split: str, limit: int | None = None, seed: int = 0) -> list[Item]:
        """Items with gold. `limit` takes a seeded random subset, the same for everybody.

        Every call raises the audit event `elicit.gold` (`make_item` does, and `elicit.watch.Sealed` for kept items), so
        that a fit which calls it without the ledger is reported.
        """
        ...

    def grade(self, item: Item, text: str, finished: bool) -> Judgement:
        """Judge one completion. Pure; may be slow, the grade stage runs it in a killable pool."""
        ...

    def gold_completion(self, item: Item) -> str:
        """A completion that must be graded right."""
        ...

    def corrupted_completion(self, item: Item) -> str:
        """A completion that must be graded wrong."""
        ...

    def validate(self, item: Item, text: str) -> Violation | None:
        """The first violation of the trace. Raises LookupError if the task has no validator."""
        ...

    @property
    def has_validator(self) -> bool: ...


def make_item(
    task: str, split: str, question: str, gold: str, cluster: str | None = None, facts: dict | None = None
) -> Item:
    """An item whose id is the hash of its content (the split is no part of it).

    Announced as the audit event `elicit.gold`, so that a fit can't make items unnoticed by the ledger.
    """
    announce_gold(task, split)
    facts = facts or {}
    identity = content_hash({"task": task, "question": question, "gold": gold, "facts": facts})
    return Item(identity, task, split, question, gold, cluster or identity, facts)
