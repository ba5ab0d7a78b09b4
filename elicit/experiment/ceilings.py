"""Rungs and ceilings that cost extra: B2, C2 and C3, each if the plan asks for it.

    eval.b2=STRATEGY        B2   B1's prompt, forced to a method's mean tokens, once for methods of about equal length
    eval.sibling=CHECKPOINT C2   a declared post-trained sibling, at B0's prompt, on the same items
    eval.ceilings=[..., C3] C3   the same checkpoint, fine-tuned on the task's own gold traces (by `eval.c3`)

Each becomes an `Entry` like any other. One that can't be measured is refused with its reason (`Bench.refused`) and the
comparison continues. Fits and strategies are kept under <comparison>/rungs, so that `resume` and `lens` find them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elicit import ranks
from elicit.errors import MethodError
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import measure
from elicit.evaluate.metrics.rungs import B2, forced_tokens
from elicit.experiment.plan import Job
from elicit.experiment.run_folder import DONE, PLANNED, RunFolder
from elicit.files import write_json, write_text
from elicit.names import published_name
from elicit.track.sink import NoTracker

if TYPE_CHECKING:
    from elicit.experiment.bench import Bench
    from elicit.policy.checkpoint import Checkpoint


def extra_ceilings(bench: Bench) -> list[Entry]:
    """C2 and C3, as far as they are asked for and can be measured."""
    c2 = sibling(bench) if bench.plan.sibling is not None else None
    c3 = supervised(bench) if "C3" in bench.plan.ceilings else None
    return [entry for entry in (c2, c3) if entry is not None]


def sibling(bench: Bench) -> Entry | None:
    """C2. Refused if its tokenizer can't render the prompts. Raises CheckpointError if it can't be loaded."""
    from elicit.policy.checkpoint import load_checkpoint
    from elicit.policy.policy import Policy

    dtype = str(bench.checkpoint.info()["dtype"])
    path = str(bench.plan.sibling)
    config = replace(bench.checkpoint.config, path=path, revision=None, dtype=dtype, base_model=False)
    other = load_checkpoint(config)
    prompt = bench.base().prompt
    garbled = next((text for item in bench.items if not renders(other, text := prompt.render(item.question))), None)
    if garbled is not None:
        bench.refuse("C2", f"the tokenizer of {other.name} can't render the prompt {garbled[:60]!r}")
        return None
    entry = bench.entry("ceiling", "C2", bench.plan.prompt, Policy(other, prompt=prompt), bench.plan.n)
    del other
    gc.collect()
    return replace(entry, data_class="T")


def renders(checkpoint: Checkpoint, text: str) -> bool:
    """Whether encoding and decoding gives the same text, apart from blanks."""
    unknown = checkpoint.tokenizer.unk_token_id
    ids = [token for token in checkpoint.encode(text) if token != checkpoint.bos_id]
    return unknown not in ids and "".join(checkpoint.decode(ids).split()) == "".join(text.split())


def supervised(bench: Bench) -> Entry | None:
    """C3. Refused if the task's gold has no steps, or the training raises MethodError."""
    from elicit.experiment.fit import fit_job
    from elicit.experiment.run_folder import ledger_rows
    from elicit.ledger import data_class, refuse_used, summary

    job = _c3_job(bench)
    run = _folder(bench, "C3", job)
    group, node = bench.comparison.group, dict(job.settings.node)
    tracker = job.settings.tracker if ranks.main() else NoTracker()
    track = tracker.start(run.path, "fit", "C3", group, node, bench.console.say)
    try:
        intervention = fit_job(job, run, bench.base(), bench.console, track)
    except MethodError as fault:
        run.failed(fault)
        bench.refuse("C3", str(fault))
        return None
    finally:
        track.finish()
    used = run.manifest.get("used_items") or []
    refuse_used(used, [item.id for item in bench.items])
    policy = bench.base().with_intervention(intervention)
    entry = bench.entry("ceiling", "C3", bench.plan.prompt, policy, bench.plan.n)
    rows = ledger_rows(run)
    run.update(status=DONE, policy_id=policy.id)
    return replace(entry, data_class=data_class(rows), ledger=summary(rows), used_items=tuple(used),
                   fit_seconds=run.manifest.get("fit_seconds"), run=str(run.path))  # fmt: skip


def _c3_job(bench: Bench) -> Job:
    """C3 as a job: the comparison's settings with another method."""
    from elicit.training.sft.gold import GoldSft

    settings = bench.comparison.settings
    method: Any = settings.eval.c3 if settings.eval.c3 is not None else GoldSft()
    node = {"_class_": published_name(type(method)), **asdict(method)}
    settings = replace(settings, method=method, arm=None, smuggled=(), node={**settings.node, "method": node})
    return Job("C3", "ceiling", settings, ())


def _folder(bench: Bench, name: str, job: Job) -> RunFolder:
    """The run folder of a ceiling's fit: one per comparison, kept apart from the runs of methods."""
    import yaml

    path = bench.comparison.folder / "rungs" / name
    if ranks.main() and not (path / "manifest.json").exists():
        text = yaml.safe_dump(job.settings.node, sort_keys=False, allow_unicode=True)
        write_text(path / "config.yaml", text)
        write_json(path / "manifest.json", {"role": "ceiling", "name": name, "status": PLANNED})
    ranks.wait(f"the folder of {name}")
    return RunFolder(path)


def with_b2(bench: Bench, entries: Sequence[Entry], best: str | None) -> list[Entry]:
    """The entries with a rung B2 for every method: its own row, or B1 if the method is no longer than that.

    A method's tokens are those that it spends at its best prompt, the mean over its seeds.
    """
    b1 = next((entry for entry in entries if entry.role in ("base", "prompt") and entry.prompt == best), None)
    if bench.plan.b2 is None or b1 is None:
        return list(entries)
    short = _tokens(bench, [b1])
    rungs: dict[int, Entry] = {}
    out: dict[int, Entry] = {}
    for arm in _arms(entries):
        tokens = _tokens(bench, [entry for entry in arm if entry.own_prompt in (None, entry.prompt)])
        target = forced_tokens(tokens, bench.plan.max_new_tokens or bench.task.stop.max_new_tokens)
        if tokens > short and target not in rungs:
            rungs[target] = _b2(bench, target, b1)
        out |= {id(entry): replace(entry, b2=rungs[target].name if tokens > short else b1.name) for entry in arm}
    last = max(i for i, entry in enumerate(entries) if entry.role in ("base", "prompt"))
    named = [out.get(id(entry), entry) for entry in entries]
    return [*named[: last + 1], *(rungs[target] for target in sorted(rungs)), *named[last + 1 :]]


def note(run: RunFolder, entries: Sequence[Entry]) -> None:
    """Write the rungs of its entries into a run's manifest: `elicit compare RUN RUN` reads them there."""
    run.update(entries=[entry.plain() for entry in entries if entry.run == str(run.path)])


def _arms(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The seeds of each method, at all of their prompts."""
    methods = [entry for entry in entries if entry.role == "method"]
    for arm in dict.fromkeys((entry.name, entry.arm) for entry in methods):
        yield [entry for entry in methods if (entry.name, entry.arm) == arm]


def _tokens(bench: Bench, seeds: Sequence[Entry]) -> float:
    """Mean tokens per answer, over the seeds."""
    tokens = [measure(entry.samples, entry.grades, bench.items).tokens_N_J for entry in seeds]
    return float(np.mean([np.nanmean(tokens_N_J) for tokens_N_J in tokens]))


def _b2(bench: Bench, target: int, b1: Entry) -> Entry:
    """B1's prompt, forced to `target` tokens, sampled by the rule of the comparison's regime."""
    from elicit.policy.decoding import REGIMES
    from elicit.policy.intervention import save

    rule = REGIMES[bench.plan.regime].rule
    strategy: Any = replace(bench.plan.b2, tokens=target, temperature=rule.temperature, top_p=rule.top_p)
    folder = bench.comparison.folder / "rungs" / f"{B2}-{target}"
    if ranks.main():
        save(strategy, Path(folder) / "intervention")
    policy = bench.base().with_prompt(bench.task.prompts[b1.prompt]).with_intervention(strategy)
    bits = b1.ledger.get("select_bits", 0)
    entry = bench.entry("prompt", f"{B2}, {target} tokens", b1.prompt, policy, bench.plan.n, select_bits=bits)
    return replace(entry, run=str(folder))
