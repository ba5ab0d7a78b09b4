"""generate: a policy and items -> sample shards on disk. The one stage that needs torch.

    <store>/pools/<policy without its strategy>/<regime>/   chains that strategies share (sampling/pool.py)
    <store>/samples/<policy>/<regime>-<task>/
      fingerprint.json         hashes of what decides the rows; a folder with another one is refused
      shard-<keys>.parquet     samples of up to 16 items x 16 j: one draw, written to a temporary file and renamed
      chains-<keys>.parquet    all paths of these samples, if a strategy has more than one per sample
      timings-<keys>.json      when and how long; equality of folders ignores these
      manifest.json            settings in the clear, item sets that are complete; written last

Rows are keyed by (policy, regime, item, j) and the seed of a draw hashes its key, so the folder is a set that grows:
dev items next to test items, n=64 after n=16 samples 48 more, and a killed run that is resumed gives the very rows of
an uninterrupted one. Shards that exist are kept; a shard is redone as a whole. One command at a time per folder;
of several processes that run it (`elicit/ranks.py`) each draws every n-th block. Does not know golds or grades.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit import ranks
from elicit.console import Progress
from elicit.errors import ConfigError
from elicit.evaluate.store import SampleFolder, Timing
from elicit.files import (
    check_fingerprint,
    content_hash,
    fingerprint,
    locked,
    ordered_time,
    read_json,
    read_rows,
    shards,
    write_json,
    write_rows,
)
from elicit.policy.decoding import Outcome, Regime, Sampling
from elicit.records import SCHEMA, Chain, Item, Sample
from elicit.sampling import confidence
from elicit.sampling.pool import Pool
from elicit.sampling.sample import Sampler, request_seed, sampler, without_strategy

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Task

ENGINE = "step-loop"
EARLIER = ("prompts",)
"""parts of the fingerprints of the first folders that decide no row: a hash of all prompts of the task"""
MIXED = "mixed"
"""engine of a folder with samples of several engines (engine.mix=true)"""
SHARD_ITEMS, SHARD_J = 16, 16
Block = tuple[list[Item], list[int]]
"""items x sample indices of one shard"""


def folder_of(store: Path, policy_id: str, regime: str, task: str) -> Path:
    """Folder of a policy's samples. Tasks with the same prompts share a policy id, but not their limits: one each."""
    return Path(store) / "samples" / policy_id / f"{regime}-{task.replace('/', '-')}"


def deterministic(policy: Policy, regime: Regime) -> bool:
    """Whether all samples of an item are the same: greedy rules, and strategies that say so."""
    strategy = policy.strategy
    if strategy is None:
        return regime.rule.temperature == 0
    return strategy.deterministic or (isinstance(strategy, Sampling) and strategy.rule.temperature == 0)


def generate(
    policy: Policy,
    task: Task,
    items: Sequence[Item],
    regime: Regime,
    n: int,
    store: Path,
    max_new_tokens: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> Path:
    """Complete every item n times; returns the folder. Deterministic policies get n = 1.

    `progress(done, wanted)` counts the samples of this call, existing ones included. Raises StageError if the folder
    was begun with other settings, KeyboardInterrupt after Ctrl-C, once the running shard is written.
    """
    if n < 1 or not items:
        raise ConfigError(f"n={n} samples of {len(items)} items: at least one of one")
    n = 1 if deterministic(policy, regime) else n
    folder = folder_of(store, policy.id, regime.name, task.name)
    settings = _settings(policy, task, regime, max_new_tokens)
    with locked(folder) if ranks.main() else nullcontext(), _interruptible(say) as interrupted:
        # 1) refuse a folder that was begun with other settings
        recorded = _with_earlier_engine(folder, settings, policy)
        check_fingerprint(folder, _with_earlier_parts(folder, recorded), f"delete it, or take another root= ({folder})")
        # 2) find the samples that are missing
        blocks = ranks.shared(list(_missing(folder, items, n)) if ranks.main() else [], "missing samples")
        wanted = len(items) * n
        done, drawn = wanted - sum(len(part) * len(js) for part, js in blocks), 0
        if progress:
            progress(done, wanted)
        # 3) sample them block by block: the policy is applied once, each block is a shard that is written completely
        if own := ranks.own_part(blocks):
            pool = _pool(policy, regime, store, settings)
            beat = Beat(progress, done, wanted, policy.strategy is None) if progress else None
            with sampler(policy, regime, task, max_new_tokens=max_new_tokens, progress=beat, pool=pool) as samples:
                for part, js in own:
                    _shard(folder, samples, part, js, pool)
                    drawn += len(part) * len(js)
                    if beat:
                        beat.block(min(done + drawn * ranks.world(), wanted))
                    if interrupted.is_set():
                        break
        # 4) record in the manifest that this item set is complete
        everyone = ranks.gathered((drawn, interrupted.is_set()), f"samples of {policy.id}")
        done += sum(count for count, _ in everyone)
        if done == wanted and ranks.main():
            _finish(folder, policy, regime, recorded, items, n)
        ranks.wait("complete samples")
        if any(stopped for _, stopped in everyone):
            say(f"stopped after {done} of {wanted} samples, kept in {folder}: elicit resume goes on from there")
            raise KeyboardInterrupt
    return folder


class Beat:
    """Progress between two shards: how many samples have ended, and the speed in tokens."""

    def __init__(self, show: Progress, done: int, wanted: int, plain: bool) -> None:
        self.show, self.done, self.wanted = show, done, wanted
        self.plain = plain
        """a path is a sample: without a strategy, which may take several paths for one"""
        self.paths = self.tokens = 0
        self.started = time.monotonic()

    def __call__(self, paths: int, tokens: int) -> None:
        self.paths, self.tokens = self.paths + paths, self.tokens + tokens
        ended = self.paths if self.plain else 0
        speed = self.tokens / max(time.monotonic() - self.started, 1e-9)
        self.show(min(self.done + ended, self.wanted), self.wanted, f"{speed:,.0f} tokens/s")

    def block(self, done: int) -> None:
        """A shard was written; `done` samples exist."""
        self.done, self.paths = done, 0
        self(0, 0)


def _settings(policy: Policy, task: Task, regime: Regime, max_new_tokens: int | None) -> dict[str, Any]:
    """All settings that decide the rows, in the clear. `compare` reads them and refuses to mix different ones."""
    info = policy.checkpoint.info()
    return {
        "schema": SCHEMA,
        "engine": engine_name(policy),
        "dtype": str(info["dtype"]),
        "attention": str(info["attention"]),
        "checkpoint": policy.checkpoint.id,
        "policy": policy.id,
        "prompt": policy.prompt.id,
        "task": task.name,
        "stop": list(task.stop.strings),
        "max_new_tokens": max_new_tokens or task.stop.max_new_tokens,
        "regime": regime.name,
        "rule": content_hash(regime.rule),
    }


def engine_name(policy: Policy) -> str:
    """Engine and version that draw a policy."""
    engine = policy.checkpoint.engine
    return engine.name if engine is not None and engine.draws(policy) else ENGINE


def _with_earlier_engine(folder: Path, settings: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """The settings, the engine replaced by `MIXED` if another one has begun the folder and engine.mix=true."""
    begun, engine = folder / "fingerprint.json", policy.checkpoint.engine
    if engine is None or not engine.mix or not begun.exists():
        return settings
    if read_json(begun).get("engine") == content_hash(settings["engine"]):
        return settings
    # the folder keeps its rows, and from now on says that they are of several engines
    mixed = {**settings, "engine": MIXED}
    write_json(begun, {**read_json(begun), "engine": content_hash(MIXED)})
    return mixed


def _with_earlier_parts(folder: Path, settings: dict[str, Any]) -> dict[str, str]:
    """The fingerprint of the settings, with the `EARLIER` parts of the folder's own: grades and annotations hash it."""
    begun = folder / "fingerprint.json"
    old = read_json(begun) if begun.exists() else {}
    return fingerprint(**settings) | {name: old[name] for name in EARLIER if name in old}


def _pool(policy: Policy, regime: Regime, store: Path, settings: dict[str, Any]) -> Pool | None:
    """The chains that this policy's strategy shares with others; None without a strategy of several chains."""
    if policy.strategy is None or not policy.strategy.pooled:
        return None
    base = without_strategy(policy).id
    decisive = {name: settings[name] for name in ("schema", "engine", "dtype", "attention", "checkpoint", "prompt")}
    return Pool(Path(store) / "pools" / base / regime.name, {**decisive, "base": base})


def _missing(folder: Path, items: Sequence[Item], n: int) -> Iterator[Block]:
    """Blocks of samples that do not exist yet: a function of the list of items, n and the existing samples."""
    there: dict[str, set[int]] = {}
    for row in read_rows(shards(folder), columns=["item", "j"]):
        there.setdefault(row["item"], set()).add(row["j"])
    for first in range(0, len(items), SHARD_ITEMS):
        for low in range(0, n, SHARD_J):
            alike: dict[tuple[int, ...], list[Item]] = {}
            for item in items[first : first + SHARD_ITEMS]:
                js = tuple(j for j in range(low, min(low + SHARD_J, n)) if j not in there.get(item.id, ()))
                if js:
                    alike.setdefault(js, []).append(item)
            yield from ((part, list(js)) for js, part in alike.items())


def _shard(folder: Path, samples: Sampler, items: list[Item], js: list[int], pool: Pool | None) -> None:
    """Sample one block and write it: chains and timings first, the shard itself last."""
    policy, regime = samples.policy, samples.regime.name
    # 1) draw; the time of chains that came from the pool counts as if they had been drawn here
    begun, started, saved = (
        ordered_time(SampleFolder(folder).store),
        time.monotonic(),
        pool.saved_seconds if pool else 0.0,
    )
    outcomes = samples.draw(items, js)
    seconds = time.monotonic() - started + (pool.saved_seconds - saved if pool else 0.0)
    # 2) turn outcomes into rows
    identity = policy.id
    prompts = {item.id: content_hash(policy.prompt_ids(item.question)) for item in items}
    rows = [_sample(identity, regime, item, j, outcome, prompts[item.id]) for item, j, outcome in outcomes]
    chains = [chain for item, j, outcome in outcomes for chain in _chains(identity, regime, item, j, outcome)]
    # 3) write: a block counts as done once its shard exists, so the shard is written last
    key = content_hash([[item.id for item in items], js])
    if chains:
        write_rows(folder / f"chains-{key}.parquet", chains)
    tokens, ids = sum(row.total_tokens for row in rows), tuple(item.id for item in items)
    timing = Timing(begun, seconds, len(rows), tokens, ids, peak_bytes(), len(chains) or len(rows))
    write_json(folder / f"timings-{key}.json", asdict(timing))
    write_rows(folder / f"shard-{key}.parquet", rows)


def peak_bytes() -> int:
    """The most memory that this process has held so far: allocated on a CUDA device in use, else resident."""
    import resource

    import torch

    if torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())

    kilobytes = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def _sample(policy: str, regime: str, item: Item, j: int, outcome: Outcome, prompt_hash: str) -> Sample:
    path = outcome.path
    return Sample(
        policy=policy,
        regime=regime,
        item=item.id,
        j=j,
        seed=request_seed(policy, regime, item.id, j),
        prompt_hash=prompt_hash,
        token_ids=list(path.token_ids),
        text=path.text,
        finish=path.finish,
        logprobs=list(path.logprobs),
        base_logprobs=None,
        total_tokens=outcome.total_tokens,
        aux_forward_tokens=outcome.aux_forward_tokens,
        winner=outcome.winner,
        confidence=confidence.mean(path.confidences) if path.confidences else None,
        self_certainty=confidence.mean(path.certainties) if path.certainties else None,
    )


def _chains(policy: str, regime: str, item: Item, j: int, outcome: Outcome) -> list[Chain]:
    return [
        Chain(
            policy, regime, item.id, j, index, list(one.path.token_ids), one.path.text, one.path.finish, one.scalars,
            one.weight,
        )
        for index, one in enumerate(outcome.chains)
    ]  # fmt: skip


def _finish(
    folder: Path, policy: Policy, regime: Regime, settings: dict[str, Any], items: Sequence[Item], n: int
) -> None:
    """Record in the manifest that this item set is complete up to n."""
    path = folder / "manifest.json"
    sets = read_json(path)["sets"] if path.exists() else {}
    ids = [item.id for item in items]
    key = content_hash(sorted(ids))
    sets[key] = {"items": ids, "n": max(n, sets.get(key, {}).get("n", 0))}
    manifest = {"schema": SCHEMA, "policy": policy.id, "regime": regime.name, "settings": settings, "sets": sets}
    write_json(path, manifest)


@contextmanager
def _interruptible(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """The first Ctrl-C sets the event, so that the running shard is finished; the second stops at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def note(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()
        say("stopping after this shard; Ctrl-C again stops at once and loses it")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
