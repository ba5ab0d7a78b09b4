"""Laws of the step rule: a path is cut where its confidences say so, whatever the batch and the stop tests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.records import Finish
from elicit.sampling.confidence import first_below, lowest
from elicit.sampling.loop.rules import ConfidenceCut
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules
from tests.sampling.models import prompts, tiny_model, tokenizer

STOP = StopRules(strings=("e",), max_new_tokens=24)
JOBS = [PathJob(prompt, place, stream) for place, prompt in enumerate(prompts(4)) for stream in range(5)]


def loop(**settings: int) -> StepLoop:
    return StepLoop(tiny_model(spread=0.08), tokenizer(), [1], **settings)


@pytest.fixture(scope="module")
def whole() -> list[Path]:
    return loop().run(JOBS, PickRule(), STOP)


def rule(whole: list[Path], window: int) -> ConfidenceCut:
    """Each job's own threshold: the median of the others' lowest windows, moved a little from job to job."""
    bar = float(np.median([lowest(path.confidences, window) for path in whole]))
    return ConfidenceCut(tuple(bar + 0.001 * (place % 5 - 2) for place in range(len(whole))), window)


@pytest.mark.parametrize("window", [1, 3, 8])
@pytest.mark.parametrize("settings", [{}, {"slots": 3}, {"check_every": 8}, {"slots": 3, "check_every": 5}])
def test_a_path_is_cut_at_its_first_window_below_the_threshold(
    whole: list[Path], window: int, settings: dict[str, int]
) -> None:
    cut = rule(whole, window)
    paths = loop(**settings).run(JOBS, PickRule(), STOP, cut)
    wanted = [first_below(path.confidences, bar, window) for path, bar in zip(whole, cut.thresholds, strict=True)]
    assert any(wanted) and not all(wanted)
    for path, full, length in zip(paths, whole, wanted, strict=True):
        assert path.token_ids == full.token_ids[:length]
        assert path.finish == (full.finish if length is None else Finish.CUT)


def test_the_rule_is_asked_once_a_stop_test_and_not_once_a_token(whole: list[Path]) -> None:
    calls: list[int] = []

    class Counting(ConfidenceCut):
        def cuts(self, jobs_S, begun_S, chunk, scalars_S_C_T):  # type: ignore[no-untyped-def]
            calls.append(chunk)
            return super().cuts(jobs_S, begun_S, chunk, scalars_S_C_T)

    never = Counting((-math.inf,) * len(JOBS), 4)
    assert loop(check_every=8).run(JOBS, PickRule(), STOP, never) == loop(check_every=8).run(JOBS, PickRule(), STOP)
    longest = max(len(path.token_ids) for path in whole)
    assert len(calls) <= math.ceil(longest / 8) and max(calls) == 8


def test_a_threshold_below_everything_cuts_nothing_and_one_above_cuts_at_the_first_full_window(
    whole: list[Path],
) -> None:
    above = loop().run(JOBS, PickRule(), STOP, ConfidenceCut((math.inf,) * len(JOBS), 4))
    for path, full in zip(above, whole, strict=True):
        assert len(path.token_ids) == min(4, len(full.token_ids))
        assert (path.finish == Finish.CUT) == (len(full.token_ids) >= 4)


def test_a_window_below_one_is_an_error() -> None:
    with pytest.raises(ConfigError, match="window=0"):
        ConfidenceCut((0.0,), 0)
