"""The self critic: the checkpoint reviews its own responses, and reviews are kept by rejection.

    verifier   the verdict must agree with the grade of the response, and an answer that the review states must be
               graded right                                                                              class R
    majority   the same with the vote of the item's own responses instead of the grade                   class V

A response has the answer that it declares, else the last one that it mentions; without any it has no verdict, and a cut
one has none either. A review states what it declares.

A review is what the base writes after "Question: ...\\nProposed: ...\\nReview:" at temperature 1. The organism knows
that form; another base may need `shots`, whose verdict sentences are written here (foreign text: class T).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from elicit.errors import ConfigError, MethodError
from elicit.records import Item
from elicit.sampling.contrast import by_verdict
from elicit.sampling.own import own_completions
from elicit.tasks.review import REVIEW, proposal, read_verdict, verdict_sentence
from methods.critique_ft.program import AUTHOR
from methods.critique_ft.records import Critic, Example, Response, balanced

if TYPE_CHECKING:
    from elicit.ledger import Ledger, TaskView
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from elicit.sampling.own import Completion


@dataclass(frozen=True)
class SelfCritic(Critic):
    """Reviews by the checkpoint itself, kept by rejection."""

    keep: Literal["verifier", "majority"] = "verifier"
    """what a review must agree with"""
    samples: int = 4
    """reviews drawn of each response; the first that agrees is kept"""
    shots: int = 0
    """reviewed responses in front of each prompt, each with a verdict sentence written by the program"""

    def __post_init__(self) -> None:
        if self.samples < 1 or self.shots < 0:
            raise ConfigError(f"samples={self.samples}, shots={self.shots}: at least 1 and 0")

    def examples(
        self, policy: Policy, ledger: Ledger, context: Context, responses: Sequence[Response], rows: int
    ) -> list[Example]:
        """One kept review per response. Raises MethodError if no review states a verdict, or none is kept."""
        votes = majority(ledger.task_view, responses) if self.keep == "majority" else None
        if votes is None:
            verdicts, about = by_verdict(responses, ledger)
            context.log({f"critique_ft/{name}": value for name, value in about.items()})
        else:
            verdicts = votes_of(ledger.task_view, responses, votes)
        chosen = balanced(verdicts, rows + self.shots, context.rng)
        shots = [(responses[place], bool(verdicts[place])) for place in chosen[: self.shots]]
        picked = [responses[place] for place in chosen[self.shots :]]
        right = [bool(verdicts[place]) for place in chosen[self.shots :]]
        reviews = self.reviews(policy, ledger, context, picked, shots)
        drawn = sum(map(len, reviews))
        stated = sum(read_verdict(review.text) is not None for each in reviews for review in each)
        if not stated:
            raise MethodError(
                f"critic=self: none of {drawn} reviews states a verdict ('The proposed answer is right.' or wrong): "
                "set critic.shots=4 to show the form, or take critic=program or file"
            )
        kept = agreeing(ledger, picked, right, reviews, votes)
        context.log({"critique_ft/reviews_said": stated / drawn, "critique_ft/reviews_kept": len(kept) / len(picked)})
        if not kept:
            raise MethodError(
                f"critic=self: {stated} of {drawn} reviews state a verdict and none agrees with the {self.keep}: take "
                "more critic.samples, or critic=program or file"
            )
        return kept

    def reviews(
        self,
        policy: Policy,
        ledger: Ledger,
        context: Context,
        responses: Sequence[Response],
        shots: Sequence[tuple[Response, bool]] = (),
    ) -> list[list[Completion]]:
        """`samples` reviews of each response."""
        exemplars = tuple((proposal(r.item.question, r.text), verdict_sentence(right)) for r, right in shots)
        for _, sentence in exemplars:
            ledger.foreign(sentence, AUTHOR, "-")
        asked = policy.with_prompt(replace(REVIEW, exemplars=exemplars))
        items = [review_item(response, place) for place, response in enumerate(responses)]
        draw = int(context.rng.integers(2**31))
        drawn = own_completions(asked, ledger, items, self.samples, draw, "critique_ft-review")
        return [drawn[place * self.samples : (place + 1) * self.samples] for place in range(len(responses))]


Votes = dict[str, str | None]
"""item id -> the answer class that most of its own responses state; None if none states any"""


def majority(task: TaskView, responses: Sequence[Response]) -> Votes:
    """The vote of each item's own responses; of equals the one that came first."""
    stated: dict[str, list[str]] = defaultdict(list)
    for response in responses:
        answer = answer_of(task, response)
        stated[response.item.id] += [] if answer is None else [answer]
    return {item: Counter(answers).most_common(1)[0][0] if answers else None for item, answers in stated.items()}


def answer_of(task: TaskView, response: Response) -> str | None:
    """The class of a response's answer, declared or mentioned; None if it has none, or was cut."""
    answer = task.extract(response.text, response.finished).lenient if response.finished else None
    return None if answer is None else task.answer_class(answer)


def votes_of(task: TaskView, responses: Sequence[Response], votes: Votes) -> list[bool | None]:
    """Whether each response has the most frequent answer of its item's responses; None if it has no answer."""
    answers = [answer_of(task, response) for response in responses]
    pairs = zip(responses, answers, strict=True)
    return [None if answer is None else answer == votes[response.item.id] for response, answer in pairs]


def agreeing(
    ledger: Ledger,
    responses: Sequence[Response],
    right: Sequence[bool],
    reviews: Sequence[Sequence[Completion]],
    votes: Votes | None,
) -> list[Example]:
    """The first review of each response whose verdict agrees, and whose answer agrees if it states one."""
    pairs = [
        (response, side, review.text)
        for response, side, each in zip(responses, right, reviews, strict=True)
        for review in each
        if review.finished and read_verdict(review.text) is side
    ]
    kept: dict[int, Example] = {}
    answers = answers_agree(ledger, [(response, text) for response, _, text in pairs], votes)
    for (response, side, text), good in zip(pairs, answers, strict=True):
        if good:
            example = Example(response.item.id, response.item.question, response.text, f" {text.strip()}", side)
            kept.setdefault(id(response), example)
    return list(kept.values())


def answers_agree(ledger: Ledger, reviews: Sequence[tuple[Response, str]], votes: Votes | None) -> list[bool]:
    """Whether the answer that each review states is right, or the majority's; True if it states none."""
    task = ledger.task_view
    declared = [task.extract(text, True).strict for _, text in reviews]
    stated = [None if answer is None else task.answer_class(answer) for answer in declared]
    if votes is not None:
        pairs = zip(stated, reviews, strict=True)
        return [answer is None or answer == votes[response.item.id] for answer, (response, _) in pairs]
    asked = [review for review, answer in zip(reviews, stated, strict=True) if answer is not None]
    grades = iter(ledger.grades([r.item for r, _ in asked], [text for _, text in asked], [True] * len(asked)))
    return [answer is None or next(grades) is True for answer in stated]


def review_item(response: Response, place: int) -> Item:
    """An item whose question is the proposal, so that reviews are sampled as answers are."""
    item = response.item
    return Item(
        f"{item.id}/review-{place}", item.task, item.split, proposal(item.question, response.text), None, item.id
    )
