"""Laws of trust: what a run folder, a working directory, a name or a setting from somebody else can't do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from elicit import processes
from elicit.cli import main
from elicit.config.build import trusting
from elicit.config.compose import Composer, compose
from elicit.console import Console, masked, printable
from elicit.errors import ConfigError, DataError
from elicit.experiment.run_folder import RunFolder, ledger_rows
from elicit.files import content_hash, write_json, write_text
from elicit.ledger import data_class
from elicit.records import LedgerRow
from elicit.tasks.grading.pool import GradeRequest, GradingPool
from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import make_item

EVIL = """
from dataclasses import dataclass
from pathlib import Path
Path(__file__).with_name("was_imported").touch()

@dataclass(frozen=True)
class Evil:
    name: str = "evil"
"""


def received(folder: Path, **changed: object) -> Path:
    """A run folder as a stranger may send it: its configuration allows a module that lies next to it."""
    node = compose(["method=decoding", "method/strategy=greedy", "model=organism", "task=chain", "tracker=none"])
    run = folder / "runs" / "20260101-x"
    write_text(run / "config.yaml", yaml.safe_dump({**node, **changed}))
    manifest = {"status": "planned", "role": "method", "name": "m", "group": "g", "invocation": "i", "index": 1}
    write_json(run / "manifest.json", {**manifest, "overrides": [], "parent": None, "twin": None})
    return run


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a module that leaves a trace when it is imported."""
    (tmp_path / "evil_module.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["resume", "score", "compare"])
def test_a_run_folder_can_not_allow_code(evil: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = received(evil, task={"_class_": "evil_module.Evil"}, allow_classes=["evil_module"])
    write_json(
        evil / "runs" / "comparisons" / "g" / "inputs.json", {"entries": [], "items": [], "config": {"group": "g"}}
    )
    assert main([command, str(run)]) == 2
    message = capsys.readouterr().err
    assert "config.yaml" in message and "allow_classes=[evil_module]" in message
    assert not (evil / "was_imported").exists() and "evil_module" not in sys.modules


def test_the_command_line_can_allow_the_code_of_a_run_folder(evil: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = received(evil, task={"_class_": "evil_module.Evil"}, allow_classes=["evil_module"])
    assert main(["resume", str(run), "allow_classes=[evil_module]"]) == 2
    assert "Evil is no task" in capsys.readouterr().err and (evil / "was_imported").exists()
    sys.modules.pop("evil_module")


def test_a_run_folder_can_not_run_code_that_comes_with_a_model(tmp_path: Path) -> None:
    node = compose(["model=organism", "task=chain", "tracker=none"])
    run = RunFolder(received(tmp_path, model={**node["model"], "trust_remote_code": True}))
    with pytest.raises(ConfigError, match=r"trust_remote_code=true.*allow_classes=\[remote_code\]"):
        run.settings()
    with trusting(["remote_code"]):
        assert run.settings().model.trust_remote_code


@pytest.mark.parametrize("group", ["../../escaped", "/absolute", "..", "a/b", "", ".hidden"])
def test_a_manifest_can_not_lead_out_of_its_root(tmp_path: Path, group: str) -> None:
    run = received(tmp_path)
    write_json(run / "manifest.json", {"status": "planned", "group": group})
    with pytest.raises(DataError, match=r"manifest.json: group="):
        RunFolder(run)


@pytest.mark.parametrize("name", ["sympy", "random", "math_verify", "transformers", "elicit"])
def test_modules_of_the_working_directory_are_not_imported_by_processes(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('was_imported').touch()\n")
    find = f"import importlib.util as u; s = u.find_spec({name!r}); print(s and s.origin)"
    environment = processes.environment()
    command = [*processes.command("x")[:2], "-c", find]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert str(tmp_path) not in done.stdout


def test_the_working_directory_is_on_a_safe_path_only_if_the_user_put_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert str(tmp_path) not in processes.safe_path()
    (tmp_path / "my_own_task.py").write_text("")
    __import__("my_own_task")
    assert processes.safe_path(["my_own_task"])[-1] == str(tmp_path)
    sys.modules.pop("my_own_task")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert processes.safe_path()[0] == str(tmp_path)


def test_grading_ignores_a_hostile_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sympy", "random", "math_verify", "fractions"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hostile')\n")
    monkeypatch.chdir(tmp_path)
    task = Jsonl(path="x.jsonl", answers="number")
    item = make_item("x", "file", "1 + 1?", "2")
    with GradingPool(task, 1, 60) as pool:
        (verdict,) = pool.judge([GradeRequest(item, "The answer is 2.", True)])
    assert verdict.judgement is not None and verdict.judgement.strict


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x1b]0;title\x07", "a\u202eb", "\x9b31m", "a\rb"])
def test_nothing_printed_can_control_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Console().say(text)
    assert main([f"group='{text}'", "model=organism", "dry_run=true"]) == 2
    assert main([text]) == 2
    printed = capsys.readouterr()
    assert not any(not (c.isprintable() or c in "\n\t") for c in printed.out + printed.err)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://user:hunter22@host/x", "hunter22"),
        ("token is hf_abcdefghijklmnopqrstuvwx.", "hf_abcdefghijklmnopqrstuvwx"),
        ("https://h/x?api_key=abcdef&y=1", "abcdef"),
        ("the value s3cr3t-value-of-the-shell", "s3cr3t-value-of-the-shell"),
    ],
)
def test_secrets_are_masked_and_refused_as_settings(
    text: str, secret: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "s3cr3t-value-of-the-shell")
    assert secret not in masked(text) and secret not in printable(text)
    assert main([f"template='{text}'", "model=organism", "dry_run=true"]) == 2
    printed = capsys.readouterr()
    assert secret not in printed.out + printed.err and "a secret can't be a setting" in printed.err
    run = RunFolder(received(tmp_path))
    run.failed(ValueError(text))
    assert secret not in (run.path / "error.json").read_text()


def test_words_that_look_like_secrets_are_left_alone() -> None:
    for text in (
        "max_new_tokens=400",
        "task-abcdefghijklmnopqrstuvwxyz",
        "hf://models/x",
        "https://arxiv.org/abs/2504.1",
    ):
        assert masked(text) == text


def test_variables_that_are_no_secrets_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_NAME", "me")
    assert Composer().node(["model=organism", "group=${oc.env:USER_NAME}"])["group"] == "me"
    with pytest.raises(ConfigError, match="a secret can't be a setting"):
        Composer().node(["model=organism", "group=${oc.env:HF_TOKEN,none}"])


def test_a_ledger_that_is_gone_or_changed_makes_the_run_unaccounted(tmp_path: Path) -> None:
    run = RunFolder(received(tmp_path))
    rows = [LedgerRow("m", "train", "train", "h", "-", 4, 4, 0, 0, 0)]
    write_text(run.ledger, "".join(json.dumps(vars(row)) + "\n" for row in rows))
    run.update(ledger_hash=content_hash(rows), data_class="R")
    assert data_class(ledger_rows(run)) == "R"
    run.ledger.write_text(run.ledger.read_text().replace('"label_bits": 4', '"label_bits": 0'))
    assert data_class(ledger_rows(run)) == "unaccounted"
    run.ledger.write_text("")
    assert data_class(ledger_rows(run)) == "unaccounted"
    run.ledger.unlink()
    assert data_class(ledger_rows(run)) == "unaccounted"
    run.update(ledger_hash=None)  # fitted by a version without hashes
    assert data_class(ledger_rows(run)) == "unaccounted"


def test_a_method_that_booked_nothing_is_accounted(tmp_path: Path) -> None:
    run = RunFolder(received(tmp_path))
    run.update(ledger_hash=content_hash([]), data_class="Z")
    assert ledger_rows(run) == []
