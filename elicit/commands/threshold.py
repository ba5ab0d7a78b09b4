"""`elicit organism threshold`: the threshold curve, from organisms of falling latent rate to data and picture.

    build and measure rare_10 ... rare_0     <root>/rare       (elicit/organisms/rare.py)
    predict                                  <out>/threshold.json, before anything is fitted
    one comparison per organism              <root>/comparisons/threshold-rare_R   (configs/experiment/threshold.yaml)
    read them                                <out>/threshold.json, threshold.png

The same command continues after an interruption: trainings, fits and samples are found as in any run. Placebos are
fitted on the first and the last rate only. `only=rare_10,rare_0` runs these, and reads whatever is there of the others;
`only=none` builds, predicts and reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elicit.commands.arguments import ALL, COMMON, Command
from elicit.config.compose import Composer
from elicit.errors import ConfigError, near
from elicit.results import Comparison, read_comparison

PRESET = "threshold"
THRESHOLD = Command(
    "organism threshold: settings only, such as root=runs out=docs/threshold",
    {**COMMON, "out": "", "only": ""},
    names=0,
    overrides=(ALL,),
)


def threshold(words: list[str]) -> int:
    """Everything that is no setting of this command goes to the runs as an override."""
    given = THRESHOLD.read(words)
    import torch

    from elicit.experiment.finished import kept
    from elicit.experiment.plan import plan
    from elicit.experiment.run import execute
    from elicit.organisms import rare
    from elicit.report.pages.threshold import write_curve
    from elicit.tasks.formal.task import FAMILIES, FormalTask

    torch.set_num_threads(1)
    console, root = given.console(), given.path("root")
    names = [rare.name_of(rate) for rate in rare.RATES]
    only = [name for name in (given["only"] or ",".join(in_order(names))).split(",") if name != "none"]
    for name in only:
        if name not in names:
            raise ConfigError(f"only={name}: {near(name, [*names, 'none'])}")
    # 1) the organisms, and what is predicted of every method on them
    composer = Composer()
    preset = composer.node([f"experiment={PRESET}", *given.overrides])
    tasks = {family: FormalTask(family=family) for family in FAMILIES}
    table = rare.build_rare(root / "rare", tasks, preset["eval"]["limit"], console.say)
    out = Path(given["out"] or root / PRESET)
    policies = [policy_of(job) for job in preset["experiment"]["jobs"]]
    file = write_curve(out, curve(table, policies, root), organisms_of(table))
    # 2) the comparisons, one after the other; the data and the picture grow with each
    code = 0
    for name in only:
        controls = [] if name in (names[0], names[-1]) else ["placebos=none"]
        words = [f"experiment={PRESET}", *controls, *given.overrides, f"model.path={root / 'rare' / name}"]
        comparisons = plan([[*words, f"root={root}", f"group={PRESET}-{name}"]], composer)
        again = kept(comparisons, console.say)
        code = max(code, execute(comparisons, console, ["organism", "threshold"], again))
        write_curve(out, curve(table, policies, root), organisms_of(table))
    console.say(f"threshold curve: {file}")
    return code


def in_order(names: list[str]) -> list[str]:
    """The ends first, then the middle, so that an unfinished curve covers the whole range."""
    left, out = list(names), []
    while left:
        out += [left.pop(0), *([left.pop()] if left else [])]
    return out


def policy_of(job: list[str]) -> str:
    """The name that a job of the preset gives to its policy. Raises ConfigError if it gives none."""
    named = [word.partition("=")[2] for word in job if word.startswith("method.name=")]
    if not named:
        raise ConfigError(f"experiment={PRESET}: a job without method.name=METHOD-BUDGET: {job}")
    return named[0]


def curve(table: Mapping[str, Any], policies: list[str], root: Path) -> list[Any]:
    """The cells of all organisms, from their comparison or, before it is there, from their predictions."""
    from elicit.organisms.threshold import CLIMBS, Latent, predicted
    from elicit.report.pages.threshold import cells_of, split_name, unmeasured

    cells = []
    for name, row in table["organisms"].items():
        latent = Latent(**row["latent"])
        expected = {one: predicted(latent, *split_name(one)[:2], CLIMBS) for one in policies}
        found = compared(root, name)
        cells += cells_of(name, latent.rate, found, expected) if found else unmeasured(name, latent.rate, expected)
    return cells


def compared(root: Path, name: str) -> Comparison | None:
    """The comparison of one organism, if there is one."""
    file = root / "comparisons" / f"{PRESET}-{name}" / "comparison.json"
    return read_comparison(file) if file.exists() else None


def organisms_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of each organism: rates and skills by family, and the ranks of its openers."""
    out = {}
    for name, row in table["organisms"].items():
        ranks = sorted(row["latent"]["ranks_N"])
        out[name] = {
            "wanted": row["wanted"],
            "rate": sum(row["latent"]["rates_N"]) / len(ranks),
            "rank_of_opener": {"lowest": ranks[0], "median": ranks[len(ranks) // 2], "highest": ranks[-1]},
            "families": row["families"],
        }
    return out
