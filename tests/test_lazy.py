"""Laws of the start: what only reads settings loads no heavy package, and a deferred package is the package."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from elicit.evaluate.store import Timing
from elicit.experiment.forecast.shape import SHAPES, of_gguf, shape_of, unloaded
from elicit.files import fingerprint
from elicit.lazy import defer, waiting
from elicit.policy.checkpoint import CheckpointConfig
from elicit.policy.shape import Shape
from tests.policy.gguf_files import write_model
from tests.policy.tiny import tiny_model

ROOT = Path(__file__).parents[1]
HEAVY = ("transformers", "trl", "peft", "wandb", "pandas", "scipy", "pyarrow", "matplotlib")
SCRIPT = f"""
import sys
from elicit.cli import main
from elicit.lazy import waiting
code = main(sys.argv[1:])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
if "torch" in sys.modules and not waiting(sys.modules["torch"]):
    loaded.append("torch")
print(code, *loaded, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("list methods", 0),
        ("--version", 0),
        ("show method=sae_steering", 0),
        ("experiment=demo dry_run=true", 0),
        ("method=contrastive model=qwen2.5-1.5b dry_run=true", 0),
        ("metod=contrastive dry_run=true", 2),
        ("runs", 0),
    ],
)
def test_what_only_reads_settings_loads_no_heavy_package(words: str, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stderr.splitlines()[-1] == str(code), done.stderr


def test_the_plan_of_a_root_with_results_loads_no_heavy_package(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "store" / "samples" / "policy" / "compare-chain"
    run = tmp_path / "runs" / "run"
    for place in (folder, run):
        place.mkdir(parents=True)
    (run / "config.yaml").write_text("{}")
    (run / "manifest.json").write_text(json.dumps({"checkpoint": {"path": "organism", "id": "one"}, "arm": "a"}))
    (folder / "fingerprint.json").write_text(json.dumps(fingerprint(checkpoint="one", task="chain")))
    timing = Timing(0.0, 10.0, 100, 2_000, ("item",), paths=400)
    (folder / "timings-x.json").write_text(json.dumps(asdict(timing)))
    (folder / "chains-x.parquet").write_bytes(b"")
    command = [sys.executable, "-c", SCRIPT, "experiment=demo", "dry_run=true", "root=runs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stderr.splitlines()[-1] == "0", done.stderr
    assert "200 tokens per second (measured in this root)" in done.stdout


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> str:
    (folder / "deferred_example.py").write_text(body)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "deferred_example", raising=False)
    return "deferred_example"


def test_a_deferred_module_is_executed_once_at_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, monkeypatch, "import sys\nsys.executed = getattr(sys, 'executed', 0) + 1\nvalue = 3\n")
    monkeypatch.setattr(sys, "executed", 0, raising=False)
    defer(name)
    first = __import__(name)
    assert __import__(name) is first and waiting(first) and sys.executed == 0
    assert first.value == 3 and first.value == 3 and not waiting(first)
    assert sys.executed == 1


def test_a_deferred_module_that_fails_is_no_longer_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, monkeypatch, "raise RuntimeError('broken')\n")
    defer(name)
    with pytest.raises(RuntimeError, match="broken"):
        _ = __import__(name).value
    assert name not in sys.modules


def test_what_is_loaded_or_not_installed_is_left_alone() -> None:
    before = __import__("json")
    defer("json")
    defer("no_such_package_anywhere")
    assert sys.modules["json"] is before and "no_such_package_anywhere" not in sys.modules


def sizes(shape: Shape) -> tuple[object, ...]:
    """All sizes, the linear layers by their last names only."""
    linear = sorted((name.rpartition(".")[2], size) for name, size in shape.linear.items())
    return (shape.parameters, shape.layers, shape.width, shape.vocabulary, shape.heads, shape.head_width, shape.inner,
            linear)  # fmt: skip


@pytest.mark.parametrize("path", ["organism", *SHAPES])
def test_the_shape_without_torch_is_that_of_the_model_on_the_meta_device(path: str) -> None:
    config = CheckpointConfig(path=path)
    shape = shape_of(config)
    assert shape is not None and sizes(shape) == sizes(Shape.of(unloaded(config)))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
def test_the_shape_of_a_gguf_file_is_that_of_its_model(architecture: str, tmp_path: Path) -> None:
    model = tiny_model(architecture)
    write_model(tmp_path / "tiny.gguf", architecture, model)
    assert sizes(of_gguf(tmp_path / "tiny.gguf")) == sizes(Shape.of(model))
