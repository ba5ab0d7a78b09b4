"""A comparison in the result files of EleutherAI's lm-evaluation-harness (lm-eval 0.4), one model folder per policy.

    <out>/<checkpoint>__<policy>/results_<date>.json              what lm-eval's EvaluationTracker writes
    <out>/<checkpoint>__<policy>/samples_<task>_<date>.jsonl      one row per item, all its samples in `resps`

    ours                    theirs
    strict accuracy         exact_match,strict-match        with exact_match_stderr,strict-match
    lenient accuracy        exact_match,flexible-extract    with exact_match_stderr,flexible-extract
    prompt, regime          n-shot, configs.<task>.generation_kwargs

Standard errors are cluster-robust over items, as everything here is. What their schema can't hold (elicitation
fraction, controls, data class, cost) is under the extra key `elicit`: the whole line, which readers of the format
ignore.
Two things differ from a run of the harness, and the file says so: an item has n samples and its score is their mean,
and hashes are this workbench's own. Reads files only; no model, no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import Reading, measure
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.statistics.resamples import Resamples
from elicit.files import content_hash, read_rows, shards, write_json, write_text
from elicit.records import Item
from elicit.results import Comparison, Line
from elicit.tasks.task import Task

STRICT, LENIENT = "strict-match", "flexible-extract"
READING_OF: dict[str, Reading] = {STRICT: "strict", LENIENT: "lenient"}
NOTE = (
    "written by elicit-workbench: exact_match of an item is the mean over its samples, standard errors are "
    "cluster-robust, hashes are not the harness's"
)


def export(
    comparison: Comparison, entries: Sequence[Entry], items: Sequence[Item], task: Task, out: Path
) -> list[Path]:
    """Write the files of every policy of the comparison but its ceilings; returns the result files."""
    stamp = datetime.fromtimestamp(comparison.created or 0.0, UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
    written = []
    for line in comparison.lines:
        if line.role == "ceiling":
            continue
        ids = {line.id, *(member.id for member in line.members)}
        own = [e for e in entries if e.policy in ids and (e.role, e.prompt) == (line.role, line.prompt)]
        folder = Path(out) / model_name(comparison, line)
        rows = [row for entry in own for row in _samples(entry, items, task)]
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        write_text(folder / f"samples_{comparison.task}_{stamp}.jsonl", text)
        write_json(folder / f"results_{stamp}.json", results(comparison, line, own, items, task, rows))
        written.append(folder / f"results_{stamp}.json")
    return written


def results(
    comparison: Comparison,
    line: Line,
    entries: Sequence[Entry],
    items: Sequence[Item],
    task: Task,
    rows: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """One policy as the dict that lm-eval's `results_*.json` holds."""
    name, setup, checkpoint = comparison.task, comparison.setup, comparison.checkpoint
    shots = len(task.prompts[line.prompt].exemplars) if line.prompt in task.prompts else 0
    generation = {"regime": setup.regime, "max_gen_toks": setup.max_new_tokens}
    model = str(checkpoint.get("name") or checkpoint.get("id"))
    hashes = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
    return {
        "results": {name: {"alias": name, **_scores(entries, items)}},
        "group_subtasks": {name: []},
        "configs": {name: {
            "task": name, "output_type": "generate_until", "num_fewshot": shots, "repeats": line.n,
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
            "filter_list": [{"name": STRICT}, {"name": LENIENT}],
            "generation_kwargs": {**generation, "until": list(task.stop.strings)},
            "metadata": {"version": 1.0, "prompt": line.prompt},
        }},
        "versions": {name: 1.0},
        "n-shot": {name: shots},
        "higher_is_better": {name: {"exact_match": True}},
        "n-samples": {name: {"original": len(items), "effective": line.n_items}},
        "config": {
            "model": "elicit", "model_args": f"pretrained={model},policy={line.id}",
            "model_num_parameters": checkpoint.get("n_parameters"), "model_dtype": str(checkpoint.get("dtype")),
            "batch_size": None, "device": None, "limit": setup.limit,
            "bootstrap_iters": setup.bootstrap_draws, "random_seed": setup.seed,
            "gen_kwargs": generation,
        },
        "git_hash": (comparison.provenance.get("git") or {}).get("commit"),
        "date": comparison.created or 0.0,
        "task_hashes": {name: content_hash(hashes)},
        "model_source": "elicit",
        "model_name": model_name(comparison, line),
        "model_name_sanitized": model_name(comparison, line),
        "system_instruction": None, "system_instruction_sha": None, "fewshot_as_multiturn": False,
        "chat_template": None, "chat_template_sha": None,
        "elicit": {"note": NOTE, "group": comparison.group, "rungs": asdict(comparison.rungs),
                   "ceilings": {ceiling: asdict(value) for ceiling, value in comparison.ceilings.items()},
                   **asdict(line)},
    }  # fmt: skip


def model_name(comparison: Comparison, line: Line) -> str:
    """Folder of a policy, spelled as the harness does: checkpoint, policy's name, prompt, a part of its id."""
    checkpoint = comparison.checkpoint
    model = str(checkpoint.get("name") or checkpoint.get("id") or "model").rstrip("/").rsplit("/", 1)[-1]
    policy = f"{line.name}_{line.prompt}_{line.id[:8]}"
    return "__".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", part) for part in (model, policy))


def _scores(entries: Sequence[Entry], items: Sequence[Item]) -> dict[str, float | str]:
    """Both accuracies with cluster-robust standard errors, seeds averaged; items without a grade are left out."""
    measured = [measure(entry.samples, entry.grades, items) for entry in entries]
    out: dict[str, float | str] = {}
    for name, reading in READING_OF.items():
        values_N = np.mean([accuracy(m, reading) for m in measured], axis=0)
        known_N = np.isfinite(values_N)
        clusters = [item.cluster for item, known in zip(items, known_N, strict=True) if known]
        error = Resamples(clusters, draws=1).standard_error(values_N[known_N]) if clusters else float("nan")
        out[f"exact_match,{name}"] = float(values_N[known_N].mean()) if clusters else "N/A"
        out[f"exact_match_stderr,{name}"] = error if np.isfinite(error) else "N/A"
    return out


def _samples(entry: Entry, items: Sequence[Item], task: Task) -> list[dict[str, Any]]:
    """One row per item: question, gold, the prompt as text, all completions, extracted answers, mean strict grade."""
    texts, grades = _by_item(entry.samples, "text"), _by_item(entry.grades, "answer", "strict", "lenient")
    prompt = task.prompts.get(entry.prompt)
    out = []
    for number, item in enumerate(items):
        asked = prompt.render(item.question) if prompt else item.question
        graded = grades.get(item.id, [])
        known = [row["strict"] for row in graded if row["strict"] is not None]
        out.append({
            "doc_id": number, "doc": {"id": item.id, "question": item.question, "seed": entry.seed},
            "target": str(item.gold), "arguments": {"gen_args_0": {"arg_0": asked}},
            "resps": [[row["text"] for row in texts.get(item.id, [])]],
            "filtered_resps": [row["answer"] for row in graded], "filter": STRICT, "metrics": ["exact_match"],
            "doc_hash": item.id, "prompt_hash": content_hash(asked), "target_hash": content_hash(item.gold),
            "exact_match": sum(known) / len(known) if known else None,
        })  # fmt: skip
    return out


def _by_item(folder: Path, *columns: str) -> dict[str, list[dict[str, Any]]]:
    rows = sorted(read_rows(shards(folder), ["item", "j", *columns]), key=lambda row: row["j"])
    out: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        out.setdefault(row["item"], []).append(row)
    return out
