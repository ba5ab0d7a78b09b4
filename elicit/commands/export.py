"""`elicit export`: a comparison, or the intervention of one run, in the files of another tool.

    elicit export GROUP format=lm-eval            result files of lm-eval (needs no torch)
    elicit export RUN format=peft                 a LoRA weight edit as a PEFT adapter folder
    elicit export RUN format=merged               a weight edit merged into its checkpoint: a transformers folder
    elicit export RUN format=steering-vector      an additive activation edit as steering_vector.safetensors
    elicit export RUN format=gguf                 the same as a control vector of llama.cpp and repeng
    elicit export RUN format=plain                any list of vectors as safetensors and a YAML file

`elicit method=given method.path=FOLDER` reads each of them back as the same policy: a format that can't hold all of an
edit (positions, the last bits of a difference) has the intervention itself next to its files. A steering vector is read
by its own library with

    vectors = {int(layer): vector for layer, vector in load_file("steering_vector.safetensors").items()}
    SteeringVector(vectors, "decoder_block")      (steering-vectors; strength included, the positions are the caller's)

Samples nothing. A decoding strategy has no format: it needs the step loop that runs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from elicit.commands.arguments import COMMON, Command, Given
from elicit.commands.saved import SavedComparison, items_of
from elicit.commands.words import FORMATS
from elicit.errors import ConfigError, DataError, StageError, near
from elicit.experiment.run_folder import RunFolder, find_run
from elicit.files import read_json, write_json

if TYPE_CHECKING:
    from elicit.policy.activations import ActivationEdit
    from elicit.policy.weights import WeightEdit

RUN_FORMATS = {"weights": ("peft", "merged"), "activations": ("steering-vector", "gguf", "plain"), "decoding": ()}
"""by kind of intervention; the remaining one of `words.FORMATS` is for comparisons"""
EXPORT = Command(
    "export GROUP|RUN: name one comparison for format=lm-eval, or one run for format=peft|merged|steering-vector|gguf|"
    "plain",
    {**COMMON, "format": "lm-eval", "out": ""},
)


def export(words: list[str]) -> int:
    """Write below GROUP/export/FORMAT or RUN/export/FORMAT, or to `out=FOLDER`."""
    given = EXPORT.read(words)
    if given["format"] not in FORMATS:
        raise ConfigError(f"format={given['format']}: {near(given['format'], FORMATS)}")
    return _export_comparison(given) if given["format"] == "lm-eval" else _export_run(given)


def _export_comparison(given: Given) -> int:
    from elicit.evaluate.comparison.lm_eval import export as write
    from elicit.results import read_comparison

    saved = SavedComparison.find(given.names[0], given.path("root"))
    comparison = read_comparison(saved.folder / "comparison.json")
    items = items_of(saved.settings, list(comparison.solves.items))
    out = Path(given["out"] or saved.folder / "export" / given["format"])
    written = write(comparison, saved.entries, items, saved.settings.task, out)
    console = given.console()
    console.say(f"{len(written)} policies in the files of {given['format']}: {out}")
    console.result({"format": given["format"], "files": [str(path) for path in written]})
    return 0


def _export_run(given: Given) -> int:
    run, wanted = find_run(given.names[0], given.path("root")), given["format"]
    spec = run.intervention / "spec.json"
    if not spec.exists():
        raise DataError(f"{run.path}: it has no intervention; fit it first: elicit resume {run.path.name}")
    kind = str(read_json(spec)["kind"])
    if wanted not in RUN_FORMATS.get(kind, ()):
        allowed = " or ".join(f"format={name}" for name in RUN_FORMATS.get(kind, ())) or "no format"
        raise ConfigError(f"format={wanted}: {run.path.name} holds an intervention of kind {kind}, for it: {allowed}")
    out = Path(given["out"] or run.path / "export" / wanted)
    written = WRITERS[wanted](run, out)
    written += _kept(run, out if wanted in RUN_FORMATS["weights"] else written[-1], out, wanted)
    console = given.console()
    console.say(f"{run.manifest['name']} as {wanted}: {out}")
    console.result({"format": wanted, "files": [str(path) for path in written]})
    return 0


def _peft(run: RunFolder, out: Path) -> list[Path]:
    edit = cast("WeightEdit", _intervention(run))
    if edit.differences:
        raise ConfigError(
            f"format=peft: {run.path.name} changes whole matrices, an adapter holds LoRA pairs; use format=merged"
        )
    edit.save_peft(out, str(run.settings().model.path))
    return [out / "adapter_config.json", out / "adapter_model.safetensors"]


def _merged(run: RunFolder, out: Path) -> list[Path]:
    from elicit.policy.checkpoint import load_checkpoint

    checkpoint, fitted_on = load_checkpoint(run.settings().model), run.manifest["checkpoint"]["id"]
    if checkpoint.id != fitted_on:
        raise StageError(
            f"{run.path.name} was fitted on checkpoint {fitted_on}, {checkpoint.name} is now {checkpoint.id}: "
            "give model.revision, or fit it again"
        )
    cast("WeightEdit", _intervention(run)).save_merged(checkpoint.model, checkpoint.tokenizer, out)
    return sorted(path for path in out.iterdir() if path.is_file())


def _steering_vector(run: RunFolder, out: Path) -> list[Path]:
    from elicit.policy.exchange.vectors import write_steering_vector

    edit = _vectors(run, "steering-vector")
    layers = write_steering_vector(edit, out / "steering_vector.safetensors")
    facts = {
        "layer_type": "decoder_block",
        "layers": layers,
        "write": sorted({one.write for one in edit.edits}),
        "base": run.manifest["checkpoint"]["name"],
        "intervention": edit.id,
    }
    write_json(out / "steering_vector.json", facts)
    return [out / "steering_vector.json", out / "steering_vector.safetensors"]


def _gguf(run: RunFolder, out: Path) -> list[Path]:
    from elicit.policy.checkpoint import load_checkpoint
    from elicit.policy.exchange.vectors import write_control_vector
    from elicit.policy.layers import blocks

    edit, model = _vectors(run, "gguf"), load_checkpoint(run.settings().model).model
    write_control_vector(edit, out / "control_vector.gguf", str(model.config.model_type), len(blocks(model)))
    return [out / "control_vector.gguf"]


def _plain(run: RunFolder, out: Path) -> list[Path]:
    from elicit.policy.exchange.plain import write_plain

    return write_plain(_vectors(run, "plain"), out)


def _vectors(run: RunFolder, wanted: str) -> ActivationEdit:
    from elicit.policy.activations import ActivationEdit as Vectors

    edit = _intervention(run)
    if not isinstance(edit, Vectors):
        raise ConfigError(f"format={wanted}: the {type(edit).__name__} of {run.path.name} is no list of vectors")
    return edit


def _kept(run: RunFolder, written: Path, out: Path, wanted: str) -> list[Path]:
    """The intervention itself next to the files, if reading `written` back would not give the same one."""
    from elicit.policy.exchange.read import find, keep

    exact = wanted != "merged" and find(written).foreign(None, "every").id == _intervention(run).id
    return [] if exact else keep(run.intervention, out)


WRITERS = {"peft": _peft, "merged": _merged, "steering-vector": _steering_vector, "gguf": _gguf, "plain": _plain}


def _intervention(run: RunFolder) -> Any:
    from elicit.policy.policy import load_intervention

    return load_intervention(run.intervention)
