"""The samples that `elicit demo quick` grades again: a part of the items of a finished `elicit experiment=demo`.

    python -m benchmarks.pack_quick runs demo 40          ROOT GROUP ITEMS -> elicit/commands/quick.tar.xz

Every policy keeps all samples of the first ITEMS items, one shard per folder with the share of its time, its
annotations and the manifest of its run. The folders of the grades are empty: a moved root is found by the folders that
exist below it. Grades and figures are what the command makes; interventions need a model. Paths of the machine, its
tracker and the commit are removed.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pyarrow import parquet

from elicit.commands.demo import ARCHIVE, GROUP
from elicit.files import read_json, write_json

PRIVATE = ("working_directory", "pid", "platform", "argv", "git")
"""what a manifest says of the machine and the command"""
FOLDERS = ("samples", "at_one")


def main(root: Path, group: str, count: int) -> None:
    """Write the archive and print its size."""
    source = root / "comparisons" / group
    inputs = read_json(source / "inputs.json")
    items = inputs["items"][:count]
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "quick"
        # 1) samples and annotations of every policy
        for entry in inputs["entries"]:
            for folder in {Path(entry[name]).parts[-2:] for name in FOLDERS if entry[name]}:
                for stage in ("samples", "annotations"):
                    there = root / "store" / stage / Path(*folder)
                    if there.is_dir():
                        part_of(there, target / "store" / stage / Path(*folder), items)
                (target / "store" / "grades" / Path(*folder)).mkdir(parents=True, exist_ok=True)
        # 2) the manifests of the runs, and the inputs of the comparison, with folders below the new root
        for entry in inputs["entries"]:
            for name in (*FOLDERS, "grades"):
                if entry[name]:
                    entry[name] = str(Path("quick", "store", *Path(entry[name]).parts[-3:]))
            if entry["run"]:
                run = root / Path(entry["run"]).name
                copy_run(run, target / run.name, items)
                entry["run"] = str(Path("quick", run.name))
        inputs |= {"items": items, "provenance": {**inputs["provenance"], "git": {}}, "config": {
            **inputs["config"], "group": GROUP, "limit": count}}  # fmt: skip
        write_json(target / "comparisons" / GROUP / "inputs.json", inputs)
        write_json(target / "comparisons" / GROUP / "preregistration.json", read_json(source / "preregistration.json"))
        # 3) one archive without owners and dates
        with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
            for path in sorted(target.rglob("*")):
                archive.add(path, str(path.relative_to(target)), recursive=False, filter=anonymous)
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes, {count} items")


def part_of(source: Path, target: Path, items: Sequence[str]) -> None:
    """The rows of some items, in one shard; the manifest and the timing say so."""
    target.mkdir(parents=True, exist_ok=True)
    counts: dict[str, tuple[int, int]] = {}
    for kind in ("shard", "chains", "prompts"):
        tables = [parquet.read_table(file) for file in sorted(source.glob(f"{kind}*.parquet"))]
        if not tables:
            continue
        whole = pa.concat_tables(tables, promote_options="permissive")
        kept = whole.filter(pc.is_in(whole["item"], pa.array(list(items))))
        counts[kind] = (whole.num_rows, kept.num_rows)
        name = "prompts.parquet" if kind == "prompts" else f"{kind}-quick.parquet"
        parquet.write_table(kept, target / name, compression="none", write_statistics=False)
    write_json(target / "fingerprint.json", read_json(source / "fingerprint.json"))
    manifest = read_json(source / "manifest.json")
    if "sets" in manifest:
        sizes = [one["n"] for one in manifest["sets"].values() if set(items) <= set(one["items"])]
        manifest["sets"] = {"quick": {"items": list(items), "n": max(sizes)}} if sizes else {}
    write_json(target / "manifest.json", manifest)
    if timings := [read_json(file) for file in sorted(source.glob("timings-*.json"))]:
        share = counts["shard"][1] / counts["shard"][0]
        write_json(target / "timings-quick.json", together(timings, items, share))


def together(timings: Sequence[Mapping[str, Any]], items: Sequence[str], share: float) -> dict[str, Any]:
    """One timing for all shards, scaled to the share of rows that is kept."""
    scaled = {name: share * sum(one[name] for one in timings) for name in ("seconds", "samples", "tokens")}
    return {
        "begun": min(one["begun"] for one in timings),
        "seconds": scaled["seconds"],
        "samples": round(scaled["samples"]),
        "tokens": round(scaled["tokens"]),
        "items": list(items),
        "peak_bytes": max(one.get("peak_bytes") or 0 for one in timings) or None,
    }


def copy_run(source: Path, target: Path, items: Sequence[str]) -> None:
    """Manifest, ledger and configuration of a run, the tracker off."""
    target.mkdir(parents=True, exist_ok=True)
    manifest = {key: value for key, value in read_json(source / "manifest.json").items() if key not in PRIVATE}
    manifest |= {"items": list(items), "group": GROUP}
    manifest.pop("entries", None)
    write_json(target / "manifest.json", manifest)
    (target / "ledger.jsonl").write_bytes((source / "ledger.jsonl").read_bytes())
    config = yaml.safe_load((source / "config.yaml").read_text(encoding="utf-8"))
    config["tracker"] = {"_class_": "elicit.track.NoTracker"}
    (target / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and date."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o755 if info.isdir() else 0o644
    return info


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
