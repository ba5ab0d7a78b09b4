"""Two model passes over a policy *and* its base, for the lenses that compare the two inside.

    <store>/probes/<policy>/<regime>/directions/
      item, layer, at, effect (bytes of float32 [D]), norm of the base's block output
    <store>/probes/<policy>/<regime>/transplant/
      item, j, host, positions, k, swaps, changed, tokens, finish, text, strict (1, 0, -1 ungraded)

`directions` is the difference policy - base of block outputs on the *base's* text: at the last prompt token, and its
mean over the completion. Written like the passes of `passes.py`. Torch is imported when a pass begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit import files
from elicit.evaluate.stages.passes import stored
from elicit.evaluate.store import SampleFolder
from elicit.records import FINISHED, Item
from elicit.tasks.grading.grader import Grader
from elicit.tasks.grading.pool import GradeRequest

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.sampling.transplant import Key, Written
    from elicit.tasks.task import Task

POSITIONS = ("prompt", "completion")
"""where an effect is read: at the last prompt token, as a mean over the completion"""
LAYERS = 12
"""layers whose effects are stored, at most; spread over the depth, the last one among them"""
UNGRADED = -1


def run_directions(policy: Policy, base: Policy, items: Sequence[Item], samples: Path, base_samples: Path) -> Path:
    """Effects on one completion of the base per item, both policies at their own prompts."""

    def rows() -> list[dict[str, Any]]:
        from elicit.policy.layers import blocks
        from elicit.policy.residuals import read_residuals

        texts = _own_texts(base_samples, items, 1)
        known = [item for item in items if texts[item.id, 0].ids]
        count = len(blocks(policy.checkpoint.model))
        layers = sorted({round((k + 1) * count / min(count, LAYERS)) - 1 for k in range(min(count, LAYERS))})
        readings = {}
        for name, one in (("policy", policy), ("base", base)):
            prompts = [one.prompt_ids(item.question) for item in known]
            lengths = [len(prompt) for prompt in prompts]
            pages = [(*prompt, *texts[item.id, 0].ids) for prompt, item in zip(prompts, known, strict=True)]
            spans = {"prompt": [(length - 1, length) for length in lengths],
                     "completion": [(n, len(page)) for n, page in zip(lengths, pages, strict=True)]}  # fmt: skip
            readings[name] = {at: read_residuals(one, pages, spans[at], lengths, layers) for at in POSITIONS}
        return [
            {"item": item.id, "layer": layer, "at": at, "norm": float(of_base[place].norm()),
             "effect": (readings["policy"][at][i, place] - of_base[place]).numpy().tobytes()}
            for at in POSITIONS
            for i, (item, of_base) in enumerate(zip(known, readings["base"][at], strict=True))
            for place, layer in enumerate(layers)
        ]  # fmt: skip

    asked = [base.id, SampleFolder(base_samples).fingerprint, [item.id for item in items], LAYERS]
    return stored(policy, samples, "directions", asked, rows)


def run_transplant(
    policy: Policy,
    base: Policy,
    items: Sequence[Item],
    samples: Path,
    base_samples: Path,
    task: Task,
    per_item: int,
    swaps: int,
    workers: int = 2,
) -> Path:
    """Both directions and both kinds of positions, over the first `per_item` samples of each item; all texts graded.

    Raises ConfigError for a policy with a decoding strategy.
    """
    about = SampleFolder(samples).manifest

    def rows() -> list[dict[str, Any]]:
        from elicit.policy.decoding import REGIMES
        from elicit.sampling.transplant import Exchange, transplanted

        stop = replace(task.stop, max_new_tokens=about["settings"]["max_new_tokens"])
        exchange = Exchange(policy, base, REGIMES[about["regime"]].rule, stop)
        by_id = {item.id: item for item in items}
        out = []
        for host, folder in (("base", base_samples), ("method", samples)):
            texts = {key: one for key, one in _own_texts(folder, items, per_item).items() if one.ids}
            for positions in ("divergent", "random"):
                rounds = transplanted(exchange, host, by_id, texts, swaps, positions)  # type: ignore[arg-type]
                out += [{"host": host, "positions": positions, **row} for row in _graded(rounds, by_id, task, workers)]
        return out

    # checked before the folder is begun: a policy that can't be transplanted leaves none
    from elicit.policy.policy import refuse_strategy

    refuse_strategy(policy)
    asked = [base.id, SampleFolder(base_samples).fingerprint, [item.id for item in items], per_item, swaps]
    return stored(policy, samples, "transplant", asked, rows)


def _own_texts(samples: Path, items: Sequence[Item], per_item: int) -> dict[Key, Written]:
    """The first samples of each item, as they were drawn."""
    from elicit.sampling.transplant import Written

    wanted = {item.id for item in items}
    return {
        (row["item"], row["j"]): Written(tuple(row["token_ids"]), row["text"], row["finish"])
        for row in files.read_rows(files.shards(samples), ["item", "j", "token_ids", "text", "finish"])
        if row["item"] in wanted and row["j"] < per_item
    }


def _graded(
    rounds: Sequence[Mapping[Key, Written]], items: Mapping[str, Item], task: Task, workers: int
) -> list[dict[str, Any]]:
    """One row per text and round."""
    cells = [(k, *key, one) for k, texts in enumerate(rounds) for key, one in texts.items()]
    with Grader(task, workers) as grader:
        verdicts = grader.judge(
            [GradeRequest(items[item], one.text, one.finish in FINISHED) for _, item, _, one in cells]
        )
    grades = [None if verdict.judgement is None else verdict.judgement.strict for verdict in verdicts]
    return [
        {"item": item, "j": j, "k": k, "swaps": one.swaps, "changed": one.changed, "tokens": len(one.ids),
         "finish": one.finish, "text": one.text, "strict": UNGRADED if strict is None else int(strict)}
        for (k, item, j, one), strict in zip(cells, grades, strict=True)
    ]  # fmt: skip
