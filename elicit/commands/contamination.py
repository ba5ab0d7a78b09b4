"""`elicit contamination model=... task=...`: has this base seen the evaluation items?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from elicit.commands.arguments import ALL, Command
from elicit.config.compose import Composer
from elicit.console import Console
from elicit.files import write_json
from elicit.records import Item

CONTAMINATION = Command(
    "contamination: settings only, such as model=organism task=chain",
    {"twins": "", "share": ""},
    names=0,
    overrides=(ALL,),
)


def contamination(words: list[str]) -> int:
    """Probe a checkpoint on the test items of a task; writes <root>/contamination/<checkpoint>-<task>.json."""
    from elicit.evaluate.contamination import Probe, probe
    from elicit.policy.checkpoint import load_checkpoint
    from elicit.sampling import recall
    from elicit.tasks.grading.grader import Grader
    from elicit.tasks.grading.pool import GradeRequest

    given = CONTAMINATION.read(words)
    chosen = Composer().settings(given.overrides)
    config = Probe(seed=chosen.seed)
    if "twins" in given.explicit:
        config = replace(config, twins=given.integer("twins"))
    if "share" in given.explicit:
        config = replace(config, share=given.number("share"))
    console, checkpoint = Console(chosen.output), load_checkpoint(chosen.model)
    items = chosen.task.items("test", chosen.eval.limit)
    with Grader(chosen.task, chosen.eval.workers) as grader:
        # the lenient reading: a cut question is continued before it is answered, so no form was asked for
        def stated(pairs: Sequence[tuple[Item, str]]) -> list[bool | None]:
            verdicts = grader.judge([GradeRequest(item, text, True) for item, text in pairs])
            return [verdict.judgement.lenient if verdict.judgement else None for verdict in verdicts]

        answers = (partial(recall.completions, checkpoint, chosen.task.stop), stated)
        probed = probe(items, partial(recall.recall, checkpoint), partial(recall.nll, checkpoint), config, answers)
    result = {
        "schema": 1,
        "checkpoint": checkpoint.info(),
        "task": chosen.task.name,
        "settings": vars(config),
        **probed,
    }
    path = Path(chosen.root) / "contamination" / f"{checkpoint.id}-{chosen.task.name}.json"
    write_json(path, result)
    for line in [*lines(probed), f"written: {path}"]:
        console.say(line)
    console.result({"contamination": {key: value for key, value in result.items() if key != "items"}})
    return 0


def lines(probed: dict[str, Any]) -> list[str]:
    """The probe as text."""
    out = []
    for name in ("continuation", "renamed", "renumbered"):
        part = probed[name]
        if "refused" in part:
            out.append(f"{name}: {part['refused']}")
        elif name == "continuation":
            bounds = f"[{part['lo']:.1%}, {part['hi']:.1%}]"
            out.append(f"continued word by word: {part['point']:.1%} {bounds} of {part['of']} questions")
        else:
            first = part["first"]
            out.append(
                f"likelier than all {name} twins: {first['point']:.1%} of {first['of']} (chance {first['chance']:.0%}, "
                f"p {part['p']:.3g}); twins cost {part['drop'].get('point', 0):+.3f} nats per token"
            )
    for share, part in probed["answers"].items():
        shown = part.get("refused") or (
            f"{part['point']:.1%} [{part['lo']:.1%}, {part['hi']:.1%}] of {part['of']} (chance {part['chance']:.1%})"
        )
        out.append(f"answered after {share} of the question: {shown}")
    return [*out, "suspect: " + "; ".join(probed["suspect"]) if probed["suspect"] else "nothing suspect"]
