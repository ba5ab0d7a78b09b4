"""Probe rows on disk: the text that policies wrote when their traces were cut and continued.

    <store>/probes/<policy>/<regime>/<lens>/
      shard-<plan>.parquet     item, j, key, draw, forced_text, forced_tokens, text, tokens, finish
      manifest.json            the shards of the current plan; written last

A plan is cut into fixed shards. A shard that exists is kept, so a killed run continues where it stopped, and a larger
plan reuses the shards that it shares with a smaller one. Torch is imported when the pass begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit import files
from elicit.evaluate.store import MANIFEST, SampleFolder, StageFolder
from elicit.records import Item
from elicit.sampling.probe import Probe

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Task

VERSION = 1
SHARD = 256
"""probes per shard"""


def probes_of(samples: Path, lens: str) -> Path:
    """The probe folder of a lens for a samples folder <store>/samples/<policy>/<regime>-<task>."""
    return SampleFolder(samples).sibling("probes") / lens


def run_probes(
    policy: Policy,
    items: Sequence[Item],
    samples: Path,
    lens: str,
    probes: Sequence[Probe],
    task: Task,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Continue all probes of a lens; returns the folder. `progress(done, wanted)` counts probes."""
    out = probes_of(samples, lens)
    inputs = {"version": VERSION, "policy": policy.id, "lens": lens, "samples": SampleFolder(samples).fingerprint}
    with StageFolder(out).writing(f"delete {out} and run the lens again", **inputs):
        names = []
        for first in range(0, len(probes), SHARD):
            part = probes[first : first + SHARD]
            names.append(f"shard-{files.content_hash([asdict(probe) for probe in part])}.parquet")
            if not (out / names[-1]).exists():
                _shard(policy, items, Path(samples), lens, part, task, out / names[-1])
            if progress:
                progress(min(first + SHARD, len(probes)), len(probes))
        StageFolder(out).finish(policy=policy.id, lens=lens, shards=names)
    return out


def _shard(
    policy: Policy, items: Sequence[Item], samples: Path, lens: str, probes: Sequence[Probe], task: Task, target: Path
) -> None:
    from elicit.sampling.continue_from import continue_from

    wanted = {probe.item for probe in probes}
    sampled = files.read_rows(files.shards(samples), ["item", "j", "token_ids"])
    traces = {(row["item"], row["j"]): row["token_ids"] for row in sampled if row["item"] in wanted}
    continued = continue_from(policy, {item.id: item for item in items}, traces, probes, task, lens)
    rows = [
        {
            "item": one.probe.item,
            "j": one.probe.j,
            "key": one.probe.key,
            "draw": one.draw,
            "forced_text": one.forced_text,
            "forced_tokens": one.forced_tokens,
            "text": one.text,
            "tokens": one.tokens,
            "finish": one.finish,
        }
        for one in continued
    ]
    files.write_rows(target, rows)


def read_probes(samples: Path, lens: str) -> list[dict[str, Any]] | None:
    """Rows of the current plan; None if the lens was not run."""
    folder = StageFolder(probes_of(samples, lens))
    if not folder.finished:
        return None
    return files.read_rows([folder.path / name for name in folder.manifest["shards"]])


def stored_probes(samples: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of all probe passes over a samples folder, by lens."""
    manifests = sorted(probes_of(samples, "").glob(f"*/{MANIFEST}"))
    return {path.parent.name: read_probes(samples, path.parent.name) or [] for path in manifests}
