"""`elicit calibrate`: is the yardstick straight? On simulated policies, and with fits on the model organisms.

    elicit calibrate simulated=true [policies=600 nulls=500 root=runs out=FILE]
    elicit calibrate [seeds=1,2,3 models=organism,organism_twin,organism_form_only experiment=calibration] [overrides]

Both go on where they were interrupted: simulations are kept by index, fits and samples as in any run. The first
needs no checkpoint and no torch.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from elicit.console import Console
from elicit.errors import ConfigError
from elicit.files import write_json

ORGANISMS = "organism,organism_twin,organism_form_only"
_OWN = ("simulated", "policies", "nulls", "seeds", "models", "out")


def calibrate(arguments: list[str]) -> int:
    """The word `calibrate`; everything that is not its own goes to the runs as an override."""
    if stray := [word for word in arguments if "=" not in word]:
        raise ConfigError(f"elicit calibrate {stray[0]}: settings only, such as simulated=true or seeds=1,2,3")
    pairs = [word.split("=", 1) for word in arguments]
    own = {key: value for key, value in pairs if key in _OWN}
    rest = [f"{key}={value}" for key, value in pairs if key not in _OWN]
    if own.get("simulated", "false").lower() == "true":
        return simulated(own, rest)
    return organisms(own, rest)


def simulated(own: dict[str, str], rest: list[str]) -> int:
    """Coverage of intervals and false positives of the rule, on simulated policies."""
    from elicit.evaluate.calibration.simulated import SimulatedCalibration, calibrate_simulated, lines

    given = dict(word.split("=", 1) for word in rest)
    known = {field.name for field in dataclasses.fields(SimulatedCalibration)} | {"root", "output"}
    if unknown := sorted(set(given) - known):
        raise ConfigError(
            f"{unknown[0]}: no such setting of the simulated calibration; known: {', '.join(sorted(known))}"
        )
    root, console = Path(given.pop("root", "runs")), Console(given.pop("output", "text"))
    numbers = [(key, value) for key, value in {**given, **own}.items() if key in known]
    several = {field.name for field in dataclasses.fields(SimulatedCalibration) if isinstance(field.default, tuple)}
    config = SimulatedCalibration(**{k: _numbers(k, f"[{v.strip('[]')}]" if k in several else v) for k, v in numbers})
    folder = root / "calibration"
    out = Path(own.get("out", folder / "simulated.json"))
    found = calibrate_simulated(config, folder / "simulated", out, console.say)
    for line in [*lines(found), f"written: {out}"]:
        console.say(line)
    console.result({"calibration": found})
    return 0


def organisms(own: dict[str, str], rest: list[str]) -> int:
    """Fits of the experiment's methods, over seeds, on the positive organism and on both twins."""
    from elicit.evaluate.calibration import fits
    from elicit.evaluate.statistics.shipped import code_hash
    from elicit.experiment.plan import plan
    from elicit.experiment.run import execute
    from elicit.files import fingerprint

    seeds = _numbers("seeds", own.get("seeds", "1,2,3"))
    preset = [] if any(word.startswith("experiment=") for word in rest) else ["experiment=calibration"]
    found: dict[str, Any] = {}
    code, root, console = 0, Path("runs"), Console("text")
    for model in own.get("models", ORGANISMS).split(","):
        shared = [*preset, f"model={model}", f"group=calibration-{model}", *rest]
        comparisons = plan([[*shared, f"seed={seed}"] for seed in (seeds if isinstance(seeds, tuple) else (seeds,))])
        first = comparisons[0].settings
        root, console = Path(first.root), Console(first.output)
        code = max(code, execute(comparisons, console, ["calibrate", *rest]))
        items = first.task.items("test", first.eval.limit)
        found[model] = [row for c in comparisons for row in fits.each_fit(c.folder, items, first.task)]
    totals = {model: fits.summarise(rows) for model, rows in found.items()}
    out = Path(own.get("out", root / "calibration" / "organisms.json"))
    mark = fingerprint(code=code_hash(), models=own.get("models", ORGANISMS), seeds=seeds, overrides=rest)
    write_json(out, {"schema": 1, "fingerprint": mark, "fits": found, "totals": totals})
    for line in [*simulated_before(), *fits.lines(totals), f"written: {out}"]:
        console.say(line)
    return code


def simulated_before() -> list[str]:
    """What the simulations found that ship with the workbench: coverage, and claims where there is nothing."""
    from elicit.evaluate.calibration.simulated import lines
    from elicit.evaluate.statistics import shipped

    found = shipped.load()["simulated"]
    if found is None or not found["current"]:
        return ["simulated: none of this version of the statistics; elicit calibrate simulated=true"]
    return lines(found)


def _numbers(key: str, text: str) -> Any:
    """An integer, or a tuple of them where there are commas or brackets."""
    try:
        several = tuple(int(part) for part in text.strip("[]()").split(",") if part)
    except ValueError:
        raise ConfigError(f"{key}={text}: whole numbers, such as {key}=1,2,3") from None
    return several if "," in text or text.startswith("[") else several[0]
