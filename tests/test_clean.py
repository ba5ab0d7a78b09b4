"""Laws of `elicit clean`: it lists, it removes only if asked, and no result depends on what it removes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from elicit.cli import main
from elicit.experiment.run_folder import RunFolder
from elicit.experiment.so_far import at_work
from tests.test_run import GREEDY, SMALL, elicit

OLD = "20200101-000000-greedy-chain-abcdef"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    assert elicit(*GREEDY, *SMALL, "group=kept", cwd=folder)[0] == 0
    return folder


@pytest.fixture
def root(once: Path, tmp_path: Path) -> Path:
    """A run that a comparison names, an older one that it repeats, and every kind of leftover."""
    root = Path(shutil.copytree(once / "runs", tmp_path / "runs"))
    run = named(root)
    shutil.copytree(run, root / OLD)
    (run / "fit" / "checkpoint-000005").mkdir(parents=True)
    (run / "fit" / "checkpoint-000005" / "trained.safetensors").write_bytes(b"0" * 2000)
    (run / "wandb" / "cache").mkdir(parents=True)
    (run / ".manifest.json.0123456789abcdef").write_text("{")
    (root / "store" / "pools" / "policy").mkdir(parents=True)
    return root


def named(root: Path) -> Path:
    (run,) = (path for path in root.glob("*greedy*") if path.name != OLD)
    return run


def listed(root: Path, *words: str) -> list[tuple[str, str]]:
    code, result = elicit("clean", f"root={root}", "output=json", *words, cwd=root.parent)
    assert code == 0
    return sorted((one["kind"], str(Path(one["path"]).relative_to(root))) for one in result["removable"])


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_everything_that_can_go_is_listed_with_its_kind_and_nothing_is_removed(root: Path) -> None:
    before, run = content(root), named(root).name
    assert listed(root) == [
        ("cache", f"{run}/wandb/cache"),
        ("cache", "store/pools"),
        ("checkpoint", f"{run}/fit/checkpoint-000005"),
        ("superseded", OLD),
        ("temporary", f"{run}/.manifest.json.0123456789abcdef"),
    ]
    assert content(root) == before


def test_after_the_removal_nothing_is_left_to_remove_and_the_comparison_is_finished_and_unchanged(root: Path) -> None:
    before, can_go = content(root), [path for _, path in listed(root)]
    listed(root, "yes=true")
    kept = {path: text for path, text in before.items() if not any(path.startswith(one) for one in can_go)}
    assert content(root) == kept and listed(root) == []
    assert elicit(*GREEDY, *SMALL, "group=kept", cwd=root.parent)[1]["unchanged"] == ["kept"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seed": 7}, "the last of its seed"),
        ({"config_hash": "another"}, "of other settings"),
        ({"group": "another"}, "of another comparison"),
    ],
)
def test_a_run_that_no_later_one_repeats_stays(change: dict[str, Any], why: str, root: Path) -> None:
    RunFolder(root / OLD).update(**change)
    assert ("superseded", OLD) not in listed(root), why


def test_a_run_that_a_kept_fit_was_taken_over_from_stays(root: Path) -> None:
    RunFolder(named(root)).update(fit_from=OLD)
    assert ("superseded", OLD) not in listed(root)


def test_states_of_a_fit_that_is_not_finished_stay(root: Path) -> None:
    RunFolder(named(root)).update(status="interrupted")
    assert "checkpoint" not in {kind for kind, _ in listed(root)}


def test_nothing_is_removed_while_a_process_works_below_the_root(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(root)
    with at_work(root / "comparisons" / "kept"):
        assert main(["clean", f"root={root}", "yes=true"]) == 1
    assert "kept" in capsys.readouterr().err and content(root) == before
