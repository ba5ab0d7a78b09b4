"""The program critic: the task's verifier and its validator of traces write the critique.

    verdict_only      "The proposed answer is wrong."                                          grade: R
    first_error       "Step 2: 7 * 7 is 9, not 3. So the proposed answer is wrong."            validator's words: T
    with_correction   "Working. 3 + 4 = 7. ... So the proposed answer is wrong. The answer is 9."   gold steps: T

On natural tasks with_correction computes the response's worked equations again ("48/2 = 24.") up to the first that
fails. The verdict is always the grade of the answer; a step that fails is named in addition. No model writes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from elicit.errors import MethodError
from elicit.sampling.contrast import by_verdict
from elicit.tasks.formal.family import CONCLUSION
from elicit.tasks.review import correction, finding, recomputed, verdict_sentence
from methods.critique_ft.records import Critic, Example, Response, balanced

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy

AUTHOR = "program critic"


@dataclass(frozen=True)
class ProgramCritic(Critic):
    """Critiques by the task's own checks."""

    mode: Literal["verdict_only", "first_error", "with_correction"] = "with_correction"
    """how much the critique states; class R, T, T"""

    @property
    def verdict_only(self) -> bool:
        """Whether the mode is `verdict_only`."""
        return self.mode == "verdict_only"

    def examples(
        self, policy: Policy, ledger: Ledger, context: Context, responses: Sequence[Response], rows: int
    ) -> list[Example]:
        """Grades the responses that hold an answer (a label bit each), chooses a balanced set, writes its critiques.

        A right answer is right whether it is declared or only mentioned; a response without one has no verdict.
        """
        grades, about = by_verdict(responses, ledger)
        about |= {"responses": len(responses), "responses_right": sum(grade is True for grade in grades)}
        context.log({f"critique_ft/{name}": value for name, value in about.items()})
        chosen = balanced(grades, rows, context.rng)
        picked = [responses[place] for place in chosen]
        verdicts = [bool(grades[place]) for place in chosen]
        critiques = self.write(ledger, picked, verdicts)
        return [
            Example(response.item.id, response.item.question, response.text, critique, verdict)
            for response, critique, verdict in zip(picked, critiques, verdicts, strict=True)
        ]

    def write(self, ledger: Ledger, responses: Sequence[Response], verdicts: Sequence[bool]) -> list[str]:
        """The critiques, each with its leading blank. Raises MethodError if the task has no validator."""
        if self.mode == "verdict_only":
            return [f" {verdict_sentence(right)}" for right in verdicts]
        items, texts = [response.item for response in responses], [response.text for response in responses]
        if self.mode == "with_correction":
            solutions = ledger.solutions(items)
            pairs = zip(solutions, texts, strict=True)
            if lines := [line for solution, text in pairs if CONCLUSION not in solution for line in recomputed(text)]:
                ledger.foreign(" ".join(lines), AUTHOR, "-")
            return [correction(*each) for each in zip(solutions, verdicts, texts, strict=True)]
        try:
            violations = ledger.violations(items, texts)
        except LookupError as fault:
            raise MethodError(f"critic.mode=first_error: {fault}; use verdict_only or with_correction") from None
        return [finding(*each) for each in zip(violations, verdicts, strict=True)]
