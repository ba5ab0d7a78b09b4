"""A sample at another prompt: asked is that prompt, with the question and the special tokens of the bare one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Path, PathJob, Request
from elicit.tasks.formal.task import FormalTask
from methods.decoding.prompted import Prompted

TASK = FormalTask(n_train=5, n_dev=5, n_test=5)
BOS = 0
QUESTION = "Start with 3. Add 4."


@dataclass
class Characters:
    """A loop whose tokens are characters, with a BOS that decodes to nothing."""

    seen: list[PathJob] = field(default_factory=list)

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(chr(token) for token in token_ids if token != BOS)

    def run(self, jobs: Sequence[PathJob], rule: object, stop: object) -> list[Path]:
        self.seen += jobs
        return [Path([65], [0.0], [0.0], [0.0], [0.0], "eos", "A") for _ in jobs]


@pytest.mark.parametrize("special", [(), (BOS,)])
@pytest.mark.parametrize("prompt", ["few_shot", "careful", "bare"])
def test_the_same_question_is_asked_at_the_named_prompt(prompt: str, special: tuple[int, ...]) -> None:
    loop = Characters()
    bare = (*special, *loop.encode(TASK.prompts["bare"].render(QUESTION)))
    (out,) = Prompted(prompt).run(loop, [Request("i", 0, 7, bare)], TASK)  # type: ignore[arg-type]
    asked = loop.seen[0]
    assert asked.prompt_ids[: len(special)] == special and asked.seed == 7 and out.total_tokens == 1
    assert loop.decode(asked.prompt_ids) == TASK.prompts[prompt].render(QUESTION)


def test_an_unknown_prompt_and_a_request_at_another_prompt_are_refused() -> None:
    loop = Characters()
    bare = loop.encode(TASK.prompts["bare"].render(QUESTION))
    with pytest.raises(ConfigError, match=r"strategy\.prompt=carefull: .*careful"):
        Prompted("carefull").run(loop, [Request("i", 0, 7, bare)], TASK)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is not at the bare prompt"):
        Prompted("careful").run(loop, [Request("i", 0, 7, loop.encode("Hello"))], TASK)  # type: ignore[arg-type]


def test_cells_of_one_strategy_are_different_policies() -> None:
    assert len({Prompted(name).id for name in TASK.prompts}) == len(TASK.prompts)
