"""STaR on own traces in another mode: one step changes, the answer stays, and the weights decide how often."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.evaluate.lenses.repaired import standing
from elicit.method import Context
from elicit.sampling.own import Completion
from elicit.tasks.formal.task import FormalTask
from methods.star import modes as module
from methods.star.modes import MODES, ModalStar, in_mode

TASK = FormalTask(n_train=60, n_dev=5, n_test=5)
ITEMS = TASK.items("train")
TEXTS = [TASK.gold_completion(item) for item in ITEMS]


def kind(text: str) -> str:
    return "reflection" if "Wait." in text else "exploration" if "Instead." in text else "deduction"


@pytest.mark.parametrize("mode", MODES)
def test_the_answer_stays_right_and_a_trace_without_what_it_takes_back_is_the_old_one(mode: str) -> None:
    for item, text in zip(ITEMS, TEXTS, strict=True):
        new = in_mode(text, mode, random.Random(text))
        assert kind(new) == mode and TASK.grade(item, new, True).strict
        assert standing(new) == text and (TASK.validate(item, new) is None) == (mode == "deduction")


def test_a_direct_answer_stays_as_it_is() -> None:
    assert {in_mode(" The answer is 7.", mode, random.Random(0)) for mode in MODES} == {" The answer is 7."}


def test_a_mixture_writes_its_modes_about_as_often_as_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "own_row", lambda policy, one: SimpleNamespace(prompt="Q", completion=one.text))
    log: list[dict] = []
    context = Context(np.random.default_rng(0), Path("unused"), lambda p, n: 0.5, log.append)
    kept = [Completion(item, (), (5,), text, True) for item, text in zip(ITEMS * 5, TEXTS * 5, strict=True)]
    star = ModalStar(modes={"reflection": 1, "exploration": 3})
    counts = Counter(kind(row.completion) for row in star.training_rows(SimpleNamespace(), kept, context))  # type: ignore[arg-type]
    assert set(counts) == {"reflection", "exploration"} and log == [{"star/in_another_mode": 300}]
    assert abs(counts["reflection"] - 75) < 30  # four standard deviations of a binomial


def test_unknown_modes_and_weights_that_are_no_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"star\.modes\.reflexion: .*reflection"):
        ModalStar(modes={"reflexion": 1})
    with pytest.raises(ConfigError, match="0 or more"):
        ModalStar(modes={"reflection": -1})
    with pytest.raises(ConfigError, match="above 0"):
        ModalStar(modes={"reflection": 0})
