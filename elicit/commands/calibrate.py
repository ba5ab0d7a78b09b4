"""`elicit calibrate`: do the statistics hold what they promise? On simulated policies, and with fits on the organisms.

    elicit calibrate simulated=true [policies=600 nulls=500 root=runs out=FILE]
    elicit calibrate [seeds=1,2,3 models=organism,... experiment=calibration] [overrides]

Both continue after an interruption: simulations are kept by index, fits and samples as in any run. The first
needs no checkpoint and no torch.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from elicit.commands.arguments import ALL, COMMON, Command, Given
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.files import write_json

MODELS = "organism,organism_twin,organism_form_only,organism_format_twin"
CALIBRATE = Command(
    "calibrate: settings only, such as simulated=true or seeds=1,2,3",
    {"simulated": "false", "seeds": "1,2,3", "models": MODELS, "out": ""},
    names=0,
    overrides=(ALL,),
)


def calibrate(words: list[str]) -> int:
    """Everything that is no setting of this command goes to the runs as an override."""
    given = CALIBRATE.read(words)
    return simulated(words) if given.flag("simulated") else organisms(given)


def simulated(words: list[str]) -> int:
    """Coverage of intervals and false positives of the rule, on simulated policies."""
    from elicit.evaluate.calibration.simulated import SimulatedCalibration, calibrate_simulated, lines

    fields = {field.name: field for field in dataclasses.fields(SimulatedCalibration)}
    settings = {**COMMON, "simulated": "", "out": "", **dict.fromkeys(fields, "")}
    given = dataclasses.replace(CALIBRATE, settings=settings, overrides=()).read(words)
    numbers: dict[str, Any] = {}
    for key in given.explicit & fields.keys():
        numbers[key] = given.integers(key) if isinstance(fields[key].default, tuple) else given.integer(key)
    folder, console = given.path("root") / "calibration", given.console()
    out = Path(given["out"] or folder / "simulated.json")
    rates = calibrate_simulated(SimulatedCalibration(**numbers), folder / "simulated", out, console.say)
    for line in [*lines(rates), f"written: {out}"]:
        console.say(line)
    console.result({"calibration": rates})
    return 0


def organisms(given: Given) -> int:
    """Fits of the experiment's methods, over seeds, on the positive organism and on those without a latent ability."""
    from elicit.evaluate.calibration import fits
    from elicit.evaluate.statistics.shipped import code_hash
    from elicit.experiment.plan import plan
    from elicit.experiment.run import execute
    from elicit.files import fingerprint

    seeds, models, overrides = given.integers("seeds"), given["models"], list(given.overrides)
    preset = [] if any(word.startswith("experiment=") for word in overrides) else ["experiment=calibration"]
    if not seeds:
        raise ConfigError("seeds: it is empty; give one training seed at least, such as seeds=1,2,3")
    by_model: dict[str, Any] = {}
    code, root, console = 0, Path("runs"), Console("text")
    for model in models.split(","):
        shared = [*preset, f"model={model}", f"group=calibration-{model}", *overrides]
        comparisons = plan([[*shared, f"seed={seed}"] for seed in seeds])
        first = comparisons[0].settings
        root, console = Path(first.root), Console(first.output)
        code = max(code, execute(comparisons, console, ["calibrate", *overrides]))
        items = first.task.items("test", first.eval.limit)
        by_model[model] = [row for one in comparisons for row in fits.each_fit(one.folder, items, first.task)]
    totals = {model: fits.summarise(rows) for model, rows in by_model.items()}
    out = Path(given["out"] or root / "calibration" / "organisms.json")
    mark = fingerprint(
        code=code_hash(), models=models, seeds=seeds if len(seeds) > 1 else seeds[0], overrides=overrides
    )
    write_json(out, {"schema": 1, "fingerprint": mark, "fits": by_model, "totals": totals})
    for line in [*simulated_before(), *fits.lines(totals), f"written: {out}"]:
        console.say(line)
    return code


def simulated_before() -> list[str]:
    """Results of the simulations that ship with the workbench: coverage, and claims on nulls."""
    from elicit.evaluate.calibration.simulated import lines
    from elicit.evaluate.statistics import shipped

    rates = shipped.load()["simulated"]
    if rates is None or not rates["current"]:
        return ["simulated: none of this version of the statistics; elicit calibrate simulated=true"]
    return lines(rates)
