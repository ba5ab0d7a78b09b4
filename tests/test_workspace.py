"""Laws of the workspace and of completion: they name only what there is."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from elicit.cli import main
from elicit.commands.completion import SHELLS, candidates
from elicit.commands.words import WORDS
from elicit.track.scores import score_runs
from elicit.track.workspace import Spec, build, specification
from tests.report.example import comparison


def metrics(spec: Spec) -> set[str]:
    """Every key that the panels show."""
    panels = [panel for section in spec["sections"] for panel in section["panels"]]
    names = [(panel.get("metrics", []), panel.get("y", []), [panel["x"]] if "x" in panel else []) for panel in panels]
    return {name for lists in names for group in lists for name in group}


def test_every_key_of_the_workspace_is_one_that_scores_log(capsys: pytest.CaptureFixture[str]) -> None:
    summary = set(score_runs(comparison())[3].values)
    curves = {f"elicit/{name}" for name in ("k", "tokens", "cov", "maj", "label_bits")}
    assert main(["workspace", "group=demo"]) == 0
    spec = json.loads(capsys.readouterr().out)
    assert spec == specification(group="demo")
    assert metrics(spec) <= summary | curves and len(metrics(spec)) > 10


def test_without_wandb_workspaces_saving_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["workspace", "save=true", "entity=me"]) == 2
    assert "pip install wandb-workspaces" in capsys.readouterr().err


def test_with_it_the_specification_becomes_its_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that takes the arguments which the package documents, and no others."""

    def kind(name: str, *known: str) -> Any:
        def take(self: Any, **told: Any) -> None:
            assert set(told) <= set(known), told

        return type(name, (), {"__init__": take})

    reports, workspaces = types.ModuleType("v2"), types.ModuleType("workspaces")
    reports.LinePlot, reports.BarPlot = kind("LinePlot", "x", "y"), kind("BarPlot", "metrics")  # type: ignore[attr-defined]
    workspaces.Section = kind("Section", "name", "panels", "is_open")  # type: ignore[attr-defined]
    workspaces.RunsetSettings = kind("RunsetSettings", "query")  # type: ignore[attr-defined]
    known = ("name", "entity", "project", "sections", "runset_settings")
    workspaces.Workspace = kind("Workspace", *known)  # type: ignore[attr-defined]
    package, middle = types.ModuleType("wandb_workspaces"), types.ModuleType("reports")
    package.reports, package.workspaces, middle.v2 = middle, workspaces, reports  # type: ignore[attr-defined]
    made = {"": package, ".reports": middle, ".reports.v2": reports, ".workspaces": workspaces}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, f"wandb_workspaces{name}", module)
    assert build(specification(entity="me")) is not None


def test_words_groups_choices_and_values_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(candidates([""])) >= set(WORDS) and "method=" in candidates([""])
    assert "method=contrastive" in candidates(["method=con"])
    assert candidates(["method=decoding", "method/strategy=cot"]) == ["method/strategy=cot_decoding"]
    assert candidates(["placebos=a"]) == ["placebos=all"]
    assert candidates(["list", "meth"]) == ["methods"]
    (tmp_path / "runs" / "comparisons" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "comparisons" / "demo" / "inputs.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert candidates(["report", "de"]) == ["demo"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "elicit completion words" in capsys.readouterr().out


def test_bash_completes_after_the_equals_sign(tmp_path: Path) -> None:
    """The script in a real bash, with `elicit` as this interpreter runs it."""
    (tmp_path / "elicit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m elicit.cli "$@"\n')
    (tmp_path / "elicit").chmod(0o755)
    ask = "COMP_LINE='elicit method=contr'; COMP_POINT=${#COMP_LINE}; compopt() { :; }; _elicit; echo ${COMPREPLY[@]}"
    script = f"export PATH={tmp_path}:$PATH\n{SHELLS['bash']}\n{ask}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == "contrastive", done.stdout + done.stderr
