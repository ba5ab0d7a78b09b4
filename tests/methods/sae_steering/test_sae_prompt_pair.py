"""Features by one prompt minus another, on the planted model: a prompt that ends in the good opener is the contrast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from elicit.errors import MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.policy import Policy
from elicit.tasks.task import PromptFormat
from methods.sae_steering.loading import SourceConfig
from methods.sae_steering.material import FitInputs, own_pages
from methods.sae_steering.method import SaeSteering
from methods.sae_steering.scores import mean_difference
from tests.methods.contrastive.planted import TASK, WORDS, PlantedTask, accuracy, planted_policy
from tests.methods.sae_steering.made import sae_of

PAIRED = PlantedTask(prompts={**TASK.prompts, "kind": PromptFormat("kind", "{question} good")})
PAIR = SaeSteering(
    contrast="prompt_pair", pair=("kind", "bare"), items=6, samples=4, layers=(0,), candidates=4, chosen=3, probes=2,
    words=4, rates=(1e-4, 0.5), strengths=(0.5, 2.0), writes=("last_prompt",), dev_items=4, halvings=0, dose_items=2,
)  # fmt: skip


class Result(NamedTuple):
    edit: Any
    ledger: Ledger
    log: list[dict[str, Any]]
    tries: list[int | None]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return planted_policy()


@pytest.fixture(scope="module")
def method(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> SaeSteering:
    """On a dictionary with three features for "good", the first ones, and one for every other word."""
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    good, *bad = (embeddings[WORDS.index(word)] for word in ("good", "bad0", "bad1", "bad2"))
    tilted = torch.nn.functional.normalize(torch.stack([good + 0.3 * other for other in bad]), dim=1)
    others = embeddings[[place for place, word in enumerate(WORDS) if word != "good"]]
    folder = sae_of(torch.cat([tilted, others]), None, tmp_path_factory.mktemp("words"))
    return replace(PAIR, source=SourceConfig(folders=(str(folder),)))


def inputs_of(policy: Policy, folder: Path) -> tuple[FitInputs, Result]:
    result = Result(None, Ledger(PAIRED, "sae"), [], [])

    def dev_score(tried: Policy, limit: int | None) -> float:
        result.tries.append(limit)
        return accuracy(tried, "dev", limit)

    context = Context(np.random.default_rng(0), folder, dev_score, log=result.log.append)
    return FitInputs(policy, result.ledger, context), result


def fitted(method: SaeSteering, policy: Policy, folder: Path) -> Result:
    inputs, result = inputs_of(policy, folder)
    return result._replace(edit=method.fit(inputs.policy, inputs.ledger, inputs.context))


def test_the_feature_of_the_prompt_is_written_after_the_policy_s_own_prompt_and_no_label_is_read(
    policy: Policy, method: SaeSteering, tmp_path: Path
) -> None:
    found = fitted(method, policy, tmp_path)
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    (edit,) = found.edit.edits
    similar = torch.nn.functional.cosine_similarity(embeddings, edit.vector[None], dim=-1)
    assert WORDS[int(similar.argmax())] == "good" and edit.write == "last_prompt"
    assert accuracy(policy, "test", 10) < 0.3 < 0.9 < accuracy(policy.with_intervention(found.edit), "test", 10)
    assert found.ledger.data_class == "V"
    assert sum(row.label_bits for row in found.ledger.rows if row.stage == "train") == 0


def test_each_item_is_sampled_after_both_prompts_and_compared_at_the_last_token_of_its_own(
    policy: Policy, tmp_path: Path
) -> None:
    inputs, result = inputs_of(policy, tmp_path)
    items = result.ledger.items("train", "train", limit=6)
    pages = own_pages(PAIR, inputs, items)
    assert pages.prompted is not None and sorted(pages.prompted) == [False] * 12 + [True] * 12
    for row, length, read, positive, completion in zip(
        pages.rows, pages.prompt_lengths, pages.reads, pages.prompted, pages.completions, strict=True
    ):
        prompt = policy.with_prompt(PAIRED.prompts["kind" if positive else "bare"])
        assert completion.prompt_ids == row[:length] == prompt.prompt_ids(completion.item.question)
        assert WORDS[row[read]] == ("good" if positive else ":")
    assert PAIR.sides(inputs, pages) == list(pages.prompted)
    assert own_pages(PAIR, inputs, items) is pages and result.ledger.spent.rollouts == 2 * 24, "booked each time"


def test_its_contrast_scores_are_those_of_the_prompts_alone(
    policy: Policy, method: SaeSteering, tmp_path: Path
) -> None:
    log = fitted(method, policy, tmp_path).log
    candidates = [row for row in log if "sae/candidate/feature" in row]
    assert {row["sae/candidate/feature"] for row in candidates} == {0, 1, 2}, (
        "those of the positive prompt's last token"
    )
    assert all(row["sae/candidate/difference"] > 0.5 for row in candidates)
    assert not any(name.endswith(("reason_score", "trace_d")) for row in log for name in row)


def test_the_difference_is_the_mean_over_items_of_positive_minus_negative_means() -> None:
    rng = np.random.default_rng(0)
    items, sides = [f"i{k}" for k in rng.integers(0, 5, 60)], [bool(x) for x in rng.integers(0, 2, 60)]
    acts = torch.from_numpy(rng.standard_normal((60, 7))).float()
    wanted = []
    for name in sorted(set(items)):
        means = [
            acts[[i for i in range(60) if items[i] == name and sides[i] is side]].mean(0) for side in (True, False)
        ]
        wanted.append(means[0] - means[1])
    assert torch.allclose(mean_difference(acts, sides, items), torch.stack(wanted).mean(0), atol=1e-6)


def test_every_placebo_of_the_pair_has_as_many_tries_and_reads_no_label_either(
    policy: Policy, method: SaeSteering, tmp_path: Path
) -> None:
    arms = {"method": method, **method.placebos()}
    found = {name: fitted(arm, policy, tmp_path / name) for name, arm in arms.items()}
    assert len({len(result.tries) for result in found.values()}) == 1
    assert all(sum(row.label_bits for row in one.ledger.rows if row.stage == "train") == 0 for one in found.values())


def test_a_name_that_is_no_prompt_is_named_with_the_nearest(policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=r"'kinds' is no prompt of task planted.*kind"):
        fitted(replace(PAIR, pair=("kinds", "bare")), policy, tmp_path)
