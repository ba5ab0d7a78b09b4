"""The simulated calibration: many policies and many nulls, resumable, summed up in one fingerprinted file.

    <folder>/fingerprint.json    settings and code of the statistics; another one is refused
    <folder>/rows.jsonl          one line per simulation, keyed by (part, index): an interrupted run goes on
    simulated.json               rates with binomial (Jeffreys) intervals, settings, fingerprint; a copy ships

An interval is calibrated if its coverage is within 93-97 %; the rule if it claims at most 5 % of the nulls.
Does not know models, tasks or folders of comparisons.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elicit import files
from elicit.errors import ConfigError
from elicit.evaluate.calibration.coverage import one_policy
from elicit.evaluate.calibration.nulls import KINDS, one_null
from elicit.evaluate.statistics.resamples import jeffreys
from elicit.evaluate.statistics.shipped import SCHEMA, code_hash

NOMINAL = 0.05
CALIBRATED = (0.93, 0.97)
COVERAGE = "coverage"


@dataclass(frozen=True)
class SimulatedCalibration:
    """Size of the simulated calibration."""

    policies: int = 600
    """simulated policies with known figures"""
    nulls: int = 500
    """simulated null comparisons of each kind"""
    items: tuple[int, ...] = (60, 150, 300)
    """numbers of items, taken in turn by the policies"""
    n: tuple[int, ...] = (8, 16)
    """samples per item, taken in turn"""
    cluster_sizes: tuple[int, ...] = (1, 3)
    """items of one cluster, taken in turn"""
    null_items: int = 120
    null_n: int = 8
    draws: int = 2_000
    """bootstrap draws of each"""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.policies < 1 or self.nulls < 1 or self.draws < 100 or min(self.n) < 2:
            raise ConfigError(
                f"policies={self.policies}, nulls={self.nulls}, draws={self.draws}, n={self.n}: at least one of each, "
                "100 draws, two samples"
            )


def calibrate_simulated(
    config: SimulatedCalibration, folder: Path, out: Path, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Run what is missing of every simulation, write and return the summary.

    Raises StageError if the folder was begun with other settings or other code.
    """
    folder, jobs = Path(folder), list(_jobs(config))
    mark = files.fingerprint(settings=asdict(config), code=code_hash())
    with files.locked(folder):
        files.check_fingerprint(folder, mark, f"delete {folder}, or take another root=")
        done = _read(folder / "rows.jsonl")
        missing = [job for job in jobs if job not in done]
        say(f"{len(jobs)} simulations, {len(jobs) - len(missing)} there")
        with (folder / "rows.jsonl").open("a", encoding="utf-8") as lines:
            for count, (part, index) in enumerate(missing, 1):
                found = _one(config, part, index)
                done[part, index] = found
                lines.write(json.dumps({"part": part, "index": index, **found}) + "\n")
                lines.flush()
                if count % 250 == 0:
                    say(f"{count} of {len(missing)}")
    summary = {"schema": SCHEMA, "fingerprint": mark, "settings": asdict(config), **summarise(config, done)}
    files.write_json(out, summary)
    return summary


def _jobs(config: SimulatedCalibration) -> Iterator[tuple[str, int]]:
    yield from ((COVERAGE, index) for index in range(config.policies))
    yield from ((kind, index) for kind in KINDS for index in range(config.nulls))


def _one(config: SimulatedCalibration, part: str, index: int) -> dict[str, Any]:
    if part != COVERAGE:
        return one_null(part, index, config.seed, config.null_items, config.null_n, config.draws)
    return one_policy(index, config.seed, *size_of(config, index), config.draws)


def size_of(config: SimulatedCalibration, index: int) -> tuple[int, int, int]:
    """(items, n, cluster size) of simulated policy `index`: the settings in turn, like the digits of a number."""
    index, items = divmod(index, len(config.items))
    index, n = divmod(index, len(config.n))
    return config.items[items], config.n[n], config.cluster_sizes[index % len(config.cluster_sizes)]


def _read(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The finished simulations; a half-written last line is dropped from the file and done again."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        files.write_text(path, whole)
    return {(row["part"], row["index"]): row for _, row in files.read_jsonl(path)}


def summarise(config: SimulatedCalibration, done: Mapping[tuple[str, int], Mapping[str, Any]]) -> dict[str, Any]:
    """Coverage by quantity (and by number of items), and the rate of claims by kind of null."""
    policies = [(size_of(config, i)[0], done[COVERAGE, i]["covered"]) for i in range(config.policies)]
    coverage = {}
    for name in policies[0][1]:
        coverage[name] = _covered([covered[name] for _, covered in policies])
        by_items = {
            str(items): _covered([covered[name] for own, covered in policies if own == items])["rate"]
            for items in config.items
        }
        coverage[name]["by_items"] = by_items
    return {"coverage": coverage, "false_positives": {kind: _claimed(config, done, kind) for kind in KINDS}}


def _covered(hits: Sequence[bool | None]) -> dict[str, Any]:
    known = [hit for hit in hits if hit is not None]
    if not known:
        return {"rate": None, "of": 0, "refused": len(hits), "calibrated": None}
    rate = sum(known) / len(known)
    found = {**_share(sum(known), len(known)), "refused": len(hits) - len(known)}
    return {**found, "calibrated": CALIBRATED[0] <= rate <= CALIBRATED[1]}


def _claimed(
    config: SimulatedCalibration, done: Mapping[tuple[str, int], Mapping[str, Any]], kind: str
) -> dict[str, Any]:
    found = _share(sum(bool(done[kind, i]["claimed"]) for i in range(config.nulls)), config.nulls)
    return {**found, "nominal": NOMINAL, "holds": found["rate"] <= NOMINAL}


def _share(part: int, whole: int) -> dict[str, Any]:
    interval = jeffreys(part / whole, whole)
    return {"rate": part / whole, "of": whole, "lo": interval.lo, "hi": interval.hi}


def lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as text, one figure per line."""
    out = ["coverage of 95 % intervals on simulated policies (93-97 % wanted)"]
    for name, row in summary["coverage"].items():
        by = ", ".join(f"{items} items {rate:.1%}" for items, rate in row["by_items"].items() if rate is not None)
        out.append(f"  {name:22} {_figure(row)}  {'' if row['calibrated'] else 'NOT CALIBRATED  '}{by}")
    out.append("claims of the decision rule on simulated nulls (at most 5 % wanted)")
    for kind, row in summary["false_positives"].items():
        out.append(f"  {kind:22} {_figure(row)}  {'' if row['holds'] else 'TOO MANY'}")
    return out


def _figure(row: Mapping[str, Any]) -> str:
    if row["rate"] is None:
        return "refused every time"
    refused = f", {row['refused']} refused" if row.get("refused") else ""
    return f"{row['rate']:6.1%} [{row['lo']:.1%}, {row['hi']:.1%}] of {row['of']}{refused}"
