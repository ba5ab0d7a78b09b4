"""annotate: sample shards -> annotation shards of the same names, by a teacher-forced pass under the base.

    annotate(policy, base, items, samples)   ->   <store>/annotations/<policy>/<regime>/     (annotations.py reads it)

Resumable shard by shard; asking for n=64 after n=16, or for more items, annotates what is new and keeps the rest.
A policy is *selecting* where its
decoding strategy does not pick each token by one rule: its KL is null, and the chains that it picks among are scored
instead (log-prob percentile of the chosen one, best-of-N bound). Torch is imported where the pass begins.
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
"""raised by whoever changes a number of the pass"""


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

    `progress(done, wanted)` counts shards. Raises StageError where `samples` belongs to another policy, or `out` was
    begun with another base; CheckpointError on NaN log-probs.
    """
    samples = Path(samples)
    out = Path(out) if out else annotations_of(samples)
    _check(policy, base, samples)
    known = {item.id: item for item in items}
    inputs = {"version": VERSION, "policy": policy.id, "base": base.id, "samples": SampleFolder(samples).fingerprint}
    with StageFolder(out).writing(f"delete {out} and annotate again", **inputs) as before:
        shards = files.shards(samples)
        for done, shard in enumerate(shards):
            _shard(policy, base, known, shard, out / shard.name, n)
            if progress:
                progress(done + 1, len(shards))
        _prompts(base, items, out / "prompts.parquet")
        annotated = sorted({*known, *before.get("items", [])})
        StageFolder(out).finish(policy=policy.id, base=base.id, items=annotated, **_kind(policy))
    return out


def _check(policy: Policy, base: Policy, samples: Path) -> None:
    """Raise where the pass would score something else than what was sampled."""
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
    """What a reader has to know of the policy's strategy."""
    from elicit.sampling.annotate import independent_chains, token_rule

    selecting = token_rule(policy) is None
    own_rule = policy.strategy is not None and not selecting
    return {"selecting": selecting, "independent": independent_chains(policy), "own_rule": own_rule}


def _shard(
    policy: Policy, base: Policy, known: dict[str, Item], shard: Path, target: Path, n: int | None = None
) -> None:
    """Annotate what of one shard is asked for and not annotated yet; what is there is kept."""
    asked = files.read_rows([shard], ["policy", "regime", "item", "j", "token_ids"])
    done = {_key(row): row for row in files.read_rows([target])} if target.exists() else {}
    rows = [row for row in asked if row["item"] in known and (n is None or row["j"] < n) and _key(row) not in done]
    if not rows:
        return
    from elicit.sampling.annotate import Trace, annotate_traces

    prompts = {item: (policy.prompt_ids(known[item].question), base.prompt_ids(known[item].question))
               for item in dict.fromkeys(row["item"] for row in rows)}  # fmt: skip
    traces = [Trace(*prompts[row["item"]], tuple(row["token_ids"])) for row in rows]
    selecting = _kind(policy)["selecting"]
    notes = annotate_traces(policy, base, traces)
    if selecting:
        _chains(base, {_key(row): prompts[row["item"]][1] for row in rows}, shard, target)
    done |= {
        _key(row):
        {**{name: row[name] for name in ("policy", "regime", "item", "j")},
         "base_logprobs": _floats(one.base_logprobs), "base_ranks": one.base_ranks.tolist(),
         "confidences": _floats(one.confidences), "kl": None if selecting else _floats(one.kl)}
        for row, one in zip(rows, notes, strict=True)
    }  # fmt: skip
    files.write_rows(target, [done[_key(row)] for row in asked if _key(row) in done])


def _key(row: dict[str, Any]) -> tuple[str, int]:
    return row["item"], row["j"]


def _floats(values: Any) -> list[float]:
    """As float32: what the pass knows."""
    return values.astype("float32").tolist()


def _chains(base: Policy, prompts: dict[tuple[str, int], tuple[int, ...]], shard: Path, target: Path) -> None:
    """Base log-probs of the chains behind these samples of a selecting policy; nothing for a strategy of one chain."""
    from elicit.sampling.annotate import chain_logprobs

    source = SampleFolder.next_to(shard, "chains")
    if not source.exists():
        return
    into = target.with_name(source.name)
    kept = [row for row in files.read_rows([into]) if _key(row) not in prompts] if into.exists() else []
    rows = [row for row in files.read_rows([source], ["item", "j", "chain", "token_ids"]) if _key(row) in prompts]
    found = chain_logprobs(base, [(prompts[_key(row)], row["token_ids"]) for row in rows])
    files.write_rows(into, kept + [
        {"item": row["item"], "j": row["j"], "chain": row["chain"], "tokens": len(row["token_ids"]),
         "base_logprob": value}
        for row, value in zip(rows, found, strict=True)
    ])  # fmt: skip


def _prompts(base: Policy, items: Sequence[Item], path: Path) -> None:
    """NLL of each item's prompt under the base, where it is not there yet."""
    kept = files.read_rows([path]) if path.exists() else []
    there = {row["item"] for row in kept}
    items = [item for item in items if item.id not in there]
    if not items:
        return
    from elicit.sampling.annotate import prompt_nll

    prompts = [base.prompt_ids(item.question) for item in items]
    files.write_rows(path, kept + [
        {"item": item.id, "prompt_nll": value, "prompt_tokens": len(ids)}
        for item, ids, value in zip(items, prompts, prompt_nll(base, prompts), strict=True)
    ])  # fmt: skip
