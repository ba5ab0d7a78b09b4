"""Laws of the command line: words, exit codes, what goes to stdout, what a plan promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elicit.cli import main
from elicit.commands.words import WORDS

ROOT = Path(__file__).parents[1]


def elicit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "elicit.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_help_imports_nothing_heavy() -> None:
    heavy = "('torch', 'hydra', 'omegaconf', 'transformers', 'wandb', 'numpy', 'pandas', 'yaml', 'rich')"
    code = f"import sys; from elicit.cli import main; main(['--help']); assert not set({heavy}) & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in WORDS)


@pytest.mark.parametrize("word", WORDS)
def test_each_word_has_its_own_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"  elicit {word} ") and "Exit codes" in out
    assert all(line.startswith(f"  elicit {word} ") for line in out.splitlines() if line.startswith("  elicit "))


def test_an_unknown_word_names_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reprot", "demo"]) == 2
    assert "did you mean report" in capsys.readouterr().err


def test_a_bad_configuration_exits_2_with_one_message_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["method=contrastive", "method.itms=3", "dry_run=true"]) == 2
    err = capsys.readouterr().err
    assert "did you mean items" in err and "Traceback" not in err


def test_list_names_every_choice_with_a_word_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("methods", "models", "tasks", "strategies", "experiments"):
        assert main(["list", word]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines and all(len(line.split(maxsplit=1)) == 2 for line in lines), lines


def test_show_prints_meaning_default_and_value_of_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "method=contrastive_v"]) == 0
    out = capsys.readouterr().out
    assert "'traced_minus_direct' (default 'right_minus_wrong')" in out and "train items to sample" in out


def test_a_dry_run_prints_plan_and_configuration_and_writes_nothing(tmp_path: Path) -> None:
    done = elicit("experiment=demo", "eval.limit=24", "dry_run=true", "output=json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["dry_run"] and "24 items" in plan["plan"][0] and "unlimited" in plan["plan"][0]
    assert "_class_: methods.contrastive.method.Contrastive" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_grade_counts_verdicts_of_a_file_as_one_json_object(tmp_path: Path) -> None:
    rows = [
        {"gold": "7", "output": "3 + 4 = 7. The answer is 7.", "expected": True},
        {"gold": "7", "output": "3 + 4 = 8. The answer is 8.", "expected": False},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = elicit("grade", "rows.jsonl", "output=json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["agreement"] == 1.0


def test_reports_of_unknown_groups_name_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "nothing", f"root={tmp_path}"]) == 2
    assert "no comparison or run" in capsys.readouterr().err
