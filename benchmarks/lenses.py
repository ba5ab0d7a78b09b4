"""All lenses that need no model, on simulated policies: seconds and peak memory.

    python benchmarks/lenses.py [--policies 20] [--items 600] [--n 16] [--out NAME]

Writes sample, grade and annotation folders of policies that answer `chain` directly, by valid traces and by broken
ones, then times reading them and every lens. Target: 20 policies x 600 items x 16 samples in 60 s and 4 GB (the
peak of the process, reading included; process time on one core).
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.lens import ANNOTATIONS, SAMPLES
from elicit.evaluate.lenses.view import make_view
from elicit.files import content_hash, write_json, write_rows
from elicit.records import Grade, Item, Sample
from elicit.tasks.formal.task import FormalTask

HOUSE = Path(__file__).resolve().parent.parent
SHARD = 50
"""items per shard"""


def texts_of(task: FormalTask, item: Item, traced: float, n: int, rng: np.random.Generator) -> list[str]:
    """Valid traces, traces with a broken step, and direct guesses."""
    whole = task.gold_completion(item)
    head, _, tail = whole.partition(" = ")
    broken = f"{head} = {(int(tail[0]) + 1) % 10}{tail[1:]}"
    return [
        whole if u < 0.8 * traced else broken if u < traced else f" The answer is {rng.integers(10)}."
        for u in rng.random(n)
    ]


def write_policy(root: Path, task: FormalTask, items: list[Item], name: str, traced: float, n: int, seed: int) -> Entry:
    """Write the folders of one policy, as the stages write them."""
    rng, policy = np.random.default_rng(seed), content_hash(["benchmark", name])
    folders = {kind: root / kind / policy / "compare" for kind in ("samples", "grades", "annotations")}
    for first in range(0, len(items), SHARD):
        samples: list[Any] = []
        grades: list[Any] = []
        notes: list[Any] = []
        for item in items[first : first + SHARD]:
            for j, text in enumerate(texts_of(task, item, traced, n, rng)):
                judged, fault = task.grade(item, text, True), task.validate(item, text)
                size = len(text.split()) + 1
                logprobs = (-rng.gamma(0.5, 1, size)).tolist()
                samples.append(Sample(policy, "compare", item.id, j, 0, "p", list(range(size)), text, "eos", logprobs,
                                      None, size, 0, 0))  # fmt: skip
                grades.append(Grade(policy, "compare", item.id, j, judged.strict, judged.lenient, judged.answer,
                                    judged.answer_class, fault is None, fault.kind if fault else None,
                                    fault.step if fault else None, None))  # fmt: skip
                notes.append({"policy": policy, "regime": "compare", "item": item.id, "j": j, "base_logprobs": logprobs,
                              "base_ranks": rng.integers(0, 50, size).tolist(),
                              "confidences": rng.gamma(5, 1, size).tolist(), 
                              "kl": rng.gamma(0.1, 1, size).tolist()})  # fmt: skip
        for kind, rows in (("samples", samples), ("grades", grades), ("annotations", notes)):
            write_rows(folders[kind] / f"shard-{first:05}.parquet", rows)
    ids = [item.id for item in items]
    write_json(folders["samples"] / "manifest.json", {"sets": {"all": {"items": ids, "n": n}}})
    write_rows(folders["annotations"] / "prompts.parquet",
               [{"item": item, "prompt_nll": float(rng.gamma(4)), "prompt_tokens": 30} for item in ids])  # fmt: skip
    write_json(folders["annotations"] / "manifest.json",
               {"policy": policy, "base": "base", "selecting": False, "independent": False, 
                "own_rule": False})  # fmt: skip
    return Entry("base" if name == "base" else "method", name, policy, folders["samples"], folders["grades"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("policies", 20), ("items", 600), ("n", 16), ("draws", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out")
    args = parser.parse_args()
    task = FormalTask(n_test=args.items)
    items = task.items("test")
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        entries = [
            write_policy(Path(folder), task, items, "base" if k == 0 else f"m{k}", k / args.policies, args.n, k)
            for k in range(args.policies)
        ]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        began = time.process_time()
        view = make_view(entries, items, task, args.draws)
        seconds["reading"] = time.process_time() - began
        for name, lens in LENSES.items():
            if lens.needs in (SAMPLES, ANNOTATIONS):
                began = time.process_time()
                reading = lens.read(view)
                seconds[name] = time.process_time() - began
                assert not reading.refused, (name, reading.refused)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    for name, value in seconds.items():
        print(f"{name:16}{value:8.1f} s")
    total = sum(seconds.values())
    print(f"{'all':16}{total:8.1f} s, peak {peak:.2f} GB ({before:.2f} GB before reading)")
    if args.out:
        facts = {"policies": args.policies, "items": args.items, "n": args.n, "draws": args.draws}
        result = {"title": "lenses without a model", **facts, "seconds": seconds, "total_seconds": total,
                  "peak_gb": peak, "machine": {"cpu": platform.processor() or platform.machine(),
                                               "numpy": np.__version__}}  # fmt: skip
        file = HOUSE / "benchmarks" / "results" / f"{args.out}.json"
        file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
