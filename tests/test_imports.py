"""The floors of the house: imports go down, and what needs no torch does without it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        *("elicit.records", "elicit.errors", "elicit.names", "elicit.console", "elicit.processes", "elicit.ranks"),
        *("elicit.watch", "elicit.lazy"),
    ),
    ("elicit.config", "elicit.files", "elicit.reading"),
    ("elicit.tasks", "elicit.results", "elicit.report", "elicit.track", "elicit.studies"),
    ("elicit.policy", "elicit.ledger"),
    ("elicit.method", "elicit.sampling"),
    ("elicit.evaluate", "elicit.training", "elicit.organisms"),
    ("elicit.experiment", "methods"),
    ("elicit.commands",),
    ("elicit.cli",),
    ("elicit.__main__",),
)
"""A package imports from its own floor and from those before it."""
WINGS = ("elicit.evaluate", "elicit.training", "elicit.organisms")
"""one floor, no door between them"""
TORCH_FREE = (
    *("elicit.records", "elicit.files", "elicit.errors", "elicit.ledger", "elicit.config", "elicit.track"),
    *(
        "elicit.watch",
        "elicit.results",
        "elicit.cli",
        "elicit.report",
        "elicit.report.render",
        "elicit.evaluate.stages.grade",
    ),
    *("elicit.experiment.plan", "elicit.experiment.run_folder", "elicit.experiment.provenance"),
    *("elicit.evaluate.measures.measure", "elicit.evaluate.comparison.compare", "elicit.evaluate.metrics.rungs"),
    *("elicit.evaluate.calibration.simulated", "elicit.evaluate.calibration.fits", "elicit.evaluate.contamination"),
    *("elicit.evaluate.comparison.escalation", "elicit.commands.calibrate", "elicit.commands.escalate"),
    *("elicit.commands.measured", "elicit.commands.choices", "elicit.commands.experiment"),
)


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("elicit", "methods"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def floor(module: str) -> int | None:
    best = [(len(name), i) for i, names in enumerate(FLOORS) for name in names if f"{module}.".startswith(f"{name}.")]
    return max(best)[1] if best else None


def imported(path: Path) -> Iterator[str]:
    """Modules of the house that a file imports anywhere, those for type checking left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(n) for node in ast.walk(tree) if is_type_checking(node) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


MODULES = [(name, path) for name, path in modules() if name not in ("elicit",)]


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_go_down(name: str, path: Path) -> None:
    own = floor(name)
    assert own is not None, f"{name} stands on no floor: add it to FLOORS"
    for target in imported(path):
        if target.split(".")[0] not in ("elicit", "methods") or target == "elicit":
            continue
        below = floor(target)
        assert below is None or below <= own, f"{name} (floor {own}) imports {target} (floor {below})"


def test_no_module_imports_itself_through_others() -> None:
    """Imports inside functions count; imports for type checking do not, they are never run."""
    names = dict(MODULES)

    def module_of(target: str) -> str | None:
        while target and target not in names:
            target = target.rpartition(".")[0]
        return target or None

    graph = {name: {module_of(target) for target in imported(path)} - {name, None} for name, path in MODULES}
    done: set[str] = set()
    while ready := [name for name, targets in graph.items() if name not in done and targets <= done]:
        done.update(ready)  # modules whose imports are all placed below them
    assert done == set(graph), f"circles among {sorted(set(graph) - done)}"


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_wings_have_no_door_between_them(name: str, path: Path) -> None:
    home = next((wing for wing in WINGS if f"{name}.".startswith(f"{wing}.")), None)
    for target in imported(path) if home else ():
        assert not any(f"{target}.".startswith(f"{wing}.") for wing in WINGS if wing != home), (
            f"{name} imports {target}"
        )


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_methods_know_no_other_method_no_tracker_and_no_hydra(name: str, path: Path) -> None:
    if not name.startswith("methods."):
        return
    own = ".".join(name.split(".")[:2])
    for target in imported(path):
        assert not (target.startswith("methods.") and not f"{target}.".startswith(f"{own}.")), (
            f"{name} imports {target}"
        )
        assert target.split(".")[0] not in ("hydra", "wandb", "omegaconf"), f"{name} imports {target}"
        assert not target.startswith(("elicit.evaluate", "elicit.track")), f"{name} imports {target}"


def test_tasks_and_everything_after_sampling_work_without_torch() -> None:
    tasks = [name for name, _ in MODULES if name.startswith("elicit.tasks.")]
    lines = ["import sys", "sys.modules['torch'] = None", *(f"import {name}" for name in (*TORCH_FREE, *tasks))]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
