"""One sample at another prompt of the task: the base at a fixed prompt as a row of a comparison.

    bare prompt of a question  ->  question  ->  the task's prompt `prompt`, sampled by the regime `compare`

A comparison measures the base at its bare and at its best prompt only; a study of prompts needs every one of them as a
row. Exemplars of a prompt are text of the task's authors: such a row is no claim of elicitation. Knows no item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from elicit.errors import ConfigError, near
from elicit.policy.decoding import REGIMES, Loop, Outcome, Request, Sampling, StrategyBase

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class Prompted(StrategyBase):
    """Independent samples after a fixed prompt of the task, whatever prompt the policy has."""

    prompt: str = "bare"
    """name of a prompt of the task"""

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Raises ConfigError for an unknown prompt, and if a request is not at the task's bare prompt."""
        if self.prompt not in task.prompts:
            raise ConfigError(f"strategy.prompt={self.prompt}: {near(self.prompt, task.prompts)}")
        asked = [replace(one, prompt_ids=self.asked(loop, one.prompt_ids, task)) for one in requests]
        return Sampling(REGIMES["compare"].rule).run(loop, asked, task)

    def asked(self, loop: Loop, prompt_ids: Sequence[int], task: Reader) -> tuple[int, ...]:
        """Ids of the prompt, given those of the bare prompt; special tokens before the text stay."""
        text = loop.decode(prompt_ids)
        special = len(prompt_ids) - len(loop.encode(text))
        prompt = task.prompts[self.prompt].render(question_of(text, task))
        return (*prompt_ids[:special], *loop.encode(prompt))


def question_of(text: str, task: Reader) -> str:
    """The question of a text at the task's bare prompt. Raises ConfigError if it is at another one."""
    before, _, after = task.prompts["bare"].render("\0").partition("\0")
    if not text.startswith(before) or not text.endswith(after):
        raise ConfigError(f"strategy prompted: {text[-60:]!r} is not at the bare prompt; evaluate it at that one only")
    return text[len(before) : len(text) - len(after)]
