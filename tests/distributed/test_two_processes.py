"""Two processes do what one does: the same fit up to the order of a sum, the very same rows, half of the work each.

Of a fit are compared the curves and the edit, relative to its size: another order of a float32 sum changes the last
digits. Learning rates are small, so that Adam does not blow up the last digit of a gradient that cancels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from elicit import ranks
from elicit.cli import dispatch
from elicit.errors import ConfigError
from elicit.files import read_rows, shards
from tests.distributed import program
from tests.distributed.launch import succeeded

SUM, EDIT = 1e-4, 1e-2
"""relative differences: of a curve's value, of a whole edit"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process wrote (this one), and what two wrote."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    program.main(one)
    succeeded("tests.distributed.program", [str(two)], two)
    return one, two


@pytest.mark.parametrize("kind", list(program.FITS))
def test_two_processes_fit_what_one_fits(kind: str, folders: tuple[Path, Path]) -> None:
    (one, alone), (two, both) = (
        (load_file(folder / f"{kind}.safetensors"), json.loads((folder / f"{kind}.json").read_text()))
        for folder in folders
    )
    # every micro-batch was computed once
    ((done, of),) = alone["shares"]
    assert done == of and [share[1] for share in both["shares"]] == [of, of]
    assert [share[0] for share in both["shares"]] == [of // 2, of // 2]
    # the same ledger, and the same curves but for times
    assert alone["spent"] == both["spent"]
    curves = [
        [(key, value) for row in run["rows"] for key, value in row.items() if "seconds" not in key]
        for run in (alone, both)
    ]
    assert [key for key, _ in curves[0]] == [key for key, _ in curves[1]]
    for (key, ours), (_, theirs) in zip(*curves, strict=True):
        assert ours == pytest.approx(theirs, rel=SUM, abs=1e-6), key
    # the same edit
    assert set(one) == set(two)
    apart = sum((one[name] - two[name]).square().sum().item() for name in one) ** 0.5
    size = sum(tensor.square().sum().item() for tensor in one.values()) ** 0.5
    assert size > 0 and apart < EDIT * size


def rows_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every sample and grade folder of a store."""
    stages = [path.parent for path in folder.glob("runs/store/*/*/*/manifest.json")]
    return {str(stage.relative_to(folder)): list(read_rows(shards(stage))) for stage in sorted(stages)}


def test_two_processes_write_the_very_rows_of_one(folders: tuple[Path, Path]) -> None:
    ours, theirs = map(rows_of, folders)
    assert len(ours) > 4 and ours == theirs
    names = [sorted(path.name for path in folder.rglob("*.parquet")) for folder in folders]
    assert names[0] == names[1]


def test_two_processes_make_one_run_and_one_comparison(folders: tuple[Path, Path]) -> None:
    runs = [sorted(path.parent.name[16:-7] for path in folder.glob("runs/*/config.yaml")) for folder in folders]
    assert runs[0] == runs[1] and runs[0]
    lines = [json.loads((folder / "runs/comparisons/two/comparison.json").read_text())["lines"] for folder in folders]
    values = [[{key: value for key, value in line["values"].items() if "second" not in key and "cost" not in key}
               for line in of_one] for of_one in lines]  # fmt: skip
    assert values[0] == values[1]


def test_a_fault_of_one_process_is_a_fault_of_all(folders: tuple[Path, Path]) -> None:
    words = json.loads((folders[1] / "faults.json").read_text())
    assert [one[0] for one in words] == ["MethodError: no gradient"] * 2
    assert all(one[1].startswith("StageError: the processes are not at the same step") for one in words)


def test_parts_are_put_together_again_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, world in ((0, 2), (1, 2), (7, 3), (8, 3), (9, 3)):
        monkeypatch.setattr(ranks, "world", lambda world=world: world)
        parts = []
        for number in range(world):
            monkeypatch.setattr(ranks, "rank", lambda number=number: number)
            parts.append(ranks.own_part(list(range(count))))
        assert ranks.merged(parts) == list(range(count))


@pytest.mark.parametrize("words", [["show"], ["experiment=study/all"], ["organism", "list"]])
def test_commands_of_one_process_refuse_a_launcher(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    with pytest.raises(ConfigError, match="is done by one process"):
        dispatch(words)
