"""annotate: sample shards -> annotation shards of the same names, by a teacher-forced pass under the base.

    annotate(policy, base, items, samples)   ->   <store>/annotations/<policy>/<regime>/     (annotations.py reads it)

Resumable shard by shard; a call with n=64 after n=16, or with more items, annotates the new samples and keeps the rest.
A policy is *selecting* if its decoding strategy does not pick each token by one rule: its KL is null, and the chains
among which it selects are scored instead (log-prob percentile of the selected one, best-of-N bound). Torch is imported
when the pass begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit import files
from elicit.errors import StageError
from elicit.evaluate.measures.annotations import annotations_of
from elicit.evaluate.store import SampleFolder, StageFolder
from elicit.records import Item

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

VERSION = 1
"""increased by every change of the pass that changes a number"""


def annotate(
    policy: Policy,
    base: Policy,
    items: Sequence[Item],
    samples: Path,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    n: int | None = None,
) -> Path:
    """Annotate the (first n) samples of these items; returns the folder. `base`: the bare base, at its own prompt.

    `progress(done, wanted)` counts shards. Raises StageError if `samples` belongs to another policy or `out` was
    begun with another base; CheckpointError on NaN log-probs.
    """
    samples = Path(samples)
    out = Path(out) if out else annotations_of(samples)
    _check(policy, base, samples)
    by_id = {item.id: item for item in items}
    inputs = {"version": VERSION, "policy": policy.id, "base": base.id, "samples": SampleFolder(samples).fingerprint}
    with StageFolder(out).writing(f"delete {out} and annotate again", **inputs) as before:
        shards = files.shards(samples)
        for done, shard in enumerate(shards):
            _shard(policy, base, by_id, shard, out / shard.name, n)
            if progress:
                progress(done + 1, len(shards))
        _prompts(base, items, out / "prompts.parquet")
        annotated = sorted({*by_id, *before.get("items", [])})
        StageFolder(out).finish(policy=policy.id, base=base.id, items=annotated, **_kind(policy))
    return out


def _check(policy: Policy, base: Policy, samples: Path) -> None:
    """Raise StageError if the pass would score anything else than what was sampled."""
    if base.interventions:
        raise StageError("the base of an annotation carries interventions: give the bare checkpoint")
    if policy.checkpoint.id != base.checkpoint.id:
        raise StageError(f"policy of checkpoint {policy.checkpoint.id}, base of {base.checkpoint.id}: they must be one")
    if not files.shards(samples):
        raise StageError(f"{samples}: no sample shards to annotate; sample first")
    owner = files.read_rows(files.shards(samples)[:1], ["policy"])[0]["policy"]
    if owner != policy.id:
        raise StageError(f"{samples} holds samples of policy {owner}, not of {policy.id}: give its own folder")


def _kind(policy: Policy) -> dict[str, bool]:
    """What a reader must know about the policy's strategy."""
    from elicit.sampling.annotate import independent_chains, token_rule

    selecting = token_rule(policy) is None
    own_rule = policy.strategy is not None and not selecting
    return {"selecting": selecting, "independent": independent_chains(policy), "own_rule": own_rule}


def _shard(
    policy: Policy, base: Policy, by_id: dict[str, Item], shard: Path, target: Path, n: int | None = None
) -> None:
    """Annotate the requested samples of one shard that have no annotation yet; existing rows are kept."""
    asked = files.read_rows([shard], ["policy", "regime", "item", "j", "token_ids"])
    done = {_key(row): row for row in files.read_rows([target])} if target.exists() else {}
    rows = [row for row in asked if row["item"] in by_id and (n is None or row["j"] < n) and _key(row) not in done]
    if not rows:
        return
    from elicit.sampling.annotate import Trace, annotate_traces

    questions = {row["item"]: by_id[row["item"]].question for row in rows}
    prompts = {item: (policy.prompt_ids(question), base.prompt_ids(question)) for item, question in questions.items()}
    traces = [Trace(*prompts[row["item"]], tuple(row["token_ids"])) for row in rows]
    selecting = _kind(policy)["selecting"]
    notes = annotate_traces(policy, base, traces)
    if selecting:
        _chains(base, {_key(row): prompts[row["item"]][1] for row in rows}, shard, target)
    for row, one in zip(rows, notes, strict=True):
        done[_key(row)] = {name: row[name] for name in ("policy", "regime", "item", "j")} | {
            "base_logprobs": _floats(one.base_logprobs),
            "base_ranks": one.base_ranks.tolist(),
            "confidences": _floats(one.confidences),
            "certainties": _floats(one.certainties),
            "kl": None if selecting else _floats(one.kl),
        }
    files.write_rows(target, [done[_key(row)] for row in asked if _key(row) in done])


def _key(row: dict[str, Any]) -> tuple[str, int]:
    return row["item"], row["j"]


def _floats(values: Any) -> list[float]:
    """As float32, the precision of the pass."""
    return values.astype("float32").tolist()


def _chains(base: Policy, prompts: dict[tuple[str, int], tuple[int, ...]], shard: Path, target: Path) -> None:
    """Write base log-probs of the chains of a selecting policy's samples; nothing for a strategy with one chain."""
    from elicit.sampling.annotate import chain_logprobs

    source = SampleFolder.next_to(shard, "chains")
    if not source.exists():
        return
    into = target.with_name(source.name)
    kept = [row for row in files.read_rows([into]) if _key(row) not in prompts] if into.exists() else []
    rows = [row for row in files.read_rows([source], ["item", "j", "chain", "token_ids"]) if _key(row) in prompts]
    logprobs = chain_logprobs(base, [(prompts[_key(row)], row["token_ids"]) for row in rows])
    new = [
        {name: row[name] for name in ("item", "j", "chain")} | {"tokens": len(row["token_ids"]), "base_logprob": value}
        for row, value in zip(rows, logprobs, strict=True)
    ]
    files.write_rows(into, kept + new)


def _prompts(base: Policy, items: Sequence[Item], path: Path) -> None:
    """Write the NLL of each item's prompt under the base, unless it is there already."""
    kept = files.read_rows([path]) if path.exists() else []
    done = {row["item"] for row in kept}
    items = [item for item in items if item.id not in done]
    if not items:
        return
    from elicit.sampling.annotate import prompt_nll

    prompts = [base.prompt_ids(item.question) for item in items]
    new = [
        {"item": item.id, "prompt_nll": value, "prompt_tokens": len(ids)}
        for item, ids, value in zip(items, prompts, prompt_nll(base, prompts), strict=True)
    ]
    files.write_rows(path, kept + new)
