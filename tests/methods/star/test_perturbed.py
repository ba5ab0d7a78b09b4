"""STaR on perturbed traces: what is changed, what stays, and how many."""

from __future__ import annotations

import random
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elicit.errors import ConfigError, MethodError
from elicit.method import Context
from elicit.sampling.own import Completion
from elicit.tasks.formal.task import FormalTask
from methods.star import perturbed as module
from methods.star.method import Star
from methods.star.perturbed import PERTURBATIONS, PerturbedStar, perturbed

ITEMS = FormalTask(n_train=40, n_dev=5, n_test=5).items("train")
TEXTS = [FormalTask().gold_completion(item) for item in ITEMS]


def steps(text: str) -> list[str]:
    return re.findall(r"\d [-+*] \d = \d\.", text)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_opener_answer_and_number_of_steps_stay(kind: str) -> None:
    for text in TEXTS:
        new = perturbed(text, kind, random.Random(text))  # type: ignore[arg-type]
        assert len(new) == len(text) and len(steps(new)) == len(steps(text))
        assert new.startswith(" Working. ") and new.split("So the")[1] == text.split("So the")[1]
        assert new != text or len(set(steps(text))) == 1


def test_each_kind_changes_what_its_name_states() -> None:
    for text in TEXTS:
        rng, old = random.Random(text), steps(text)
        wrong = [a != b for a, b in zip(old, steps(perturbed(text, "wrong_step", rng)), strict=True)]
        assert sum(wrong) == 1 and not wrong[-1]
        digits = zip("".join(old), "".join(steps(perturbed(text, "numbers_changed", rng))), strict=True)
        assert all((a != b) == a.isdigit() for a, b in digits)
        assert sorted(steps(perturbed(text, "steps_shuffled", rng))) == sorted(old)


def test_an_answer_without_two_steps_stays() -> None:
    for text in (" The answer is 7.", " Working. 3 + 4 = 7. So the answer is 7.", ""):
        assert {perturbed(text, kind, random.Random(0)) for kind in ("wrong_step", "steps_shuffled")} == {text}


def rows_at(rate: float, monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> tuple[list, list[dict]]:
    monkeypatch.setattr(module, "own_row", lambda policy, one: SimpleNamespace(prompt="Q", completion=one.text))
    log: list[dict] = []
    context = Context(np.random.default_rng(0), Path("unused"), lambda p, n: 0.5, log.append)
    kept = [Completion(item, (), (5,), text, True) for item, text in zip(ITEMS, texts, strict=False)]
    return PerturbedStar(perturb="wrong_step", rate=rate).training_rows(SimpleNamespace(), kept, context), log  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_about_the_share_rate_of_the_rows_is_changed_and_none_is_lost(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, log = rows_at(rate, monkeypatch, TEXTS)
    changed = sum(row.completion != text for row, text in zip(rows, TEXTS, strict=True))
    assert log == [{"star/perturbed": changed}] and abs(changed - rate * len(TEXTS)) <= (8 if 0 < rate < 1 else 0)


def test_nothing_to_change_is_an_error_and_a_rate_above_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MethodError, match="none of 3 kept completions has two steps"):
        rows_at(1.0, monkeypatch, [" The answer is 7."] * 3)
    with pytest.raises(ConfigError, match=r"rate=1\.5: a share"):
        PerturbedStar(rate=1.5)
    with pytest.raises(ConfigError, match="perturb='words'"):
        PerturbedStar(perturb="words")  # type: ignore[arg-type]
    assert isinstance(PerturbedStar(), Star)
