"""Nothing is read past the ledger (invariant 10): an audit hook watches while a method is built and fitted."""

from __future__ import annotations

import importlib
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy
import pandas
import pyarrow
import pyarrow.fs
import pytest
import safetensors.numpy
import torch
from pyarrow import feather, memory_map, parquet
from pyarrow.parquet import read_table as read_parquet_table
from safetensors.numpy import save_file

from elicit.ledger import Ledger
from elicit.tasks.formal.task import FormalTask
from elicit.watch import door, watching
from tests.toy import ToyTask


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(ToyTask(), "toy")


def test_gold_read_from_disk_makes_the_class_unaccounted(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "gold.json").write_text("{}")
    with watching([], ledger.unaccounted):
        (tmp_path / "gold.json").read_text()
    assert ledger.data_class == "unaccounted"


def test_the_run_folder_and_the_ledger_itself_are_explained(ledger: Ledger, tmp_path: Path) -> None:
    with watching([tmp_path], ledger.unaccounted):
        (tmp_path / "cache.json").write_text("{}")
        item = ledger.items("train", limit=1)[0]
        ledger.grade(item, "x")
    assert ledger.data_class == "R"


def test_outside_the_watch_nothing_is_reported(ledger: Ledger, tmp_path: Path) -> None:
    with watching([], ledger.unaccounted):
        pass
    (tmp_path / "x").write_text("x")
    assert ledger.data_class == "Z"


def test_gold_smuggled_through_a_closure_is_caught(ledger: Ledger, tmp_path: Path, monkeypatch) -> None:
    """A plug-in that makes the task's items itself when it is imported, and keeps them in a closure."""
    (tmp_path / "smuggler.py").write_text(
        "from tests.toy import ToyTask\n"
        "def make():\n"
        "    gold = {i.question: i.gold for i in ToyTask().items('train')}\n"
        "    return lambda question: gold[question]\n"
        "answer = make()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "smuggler", raising=False)
    with watching([], ledger.unaccounted):
        smuggler = importlib.import_module("smuggler")
        item = ledger.items("train", limit=1)[0]
        assert ledger.grade(item, f"The answer is {smuggler.answer(item.question)}.") is True
    assert ledger.data_class == "unaccounted"


def test_a_connection_is_noticed(ledger: Ledger) -> None:
    with socket.socket() as server, watching([], ledger.unaccounted):
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()):
            pass
    assert any("connection" in row.source for row in ledger.rows)


def test_behind_the_door_items_are_explained(ledger: Ledger) -> None:
    with watching([], ledger.unaccounted), door():
        ToyTask().items("train")
    assert ledger.data_class == "Z"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The same column of gold in files of several kinds."""
    pandas.DataFrame({"gold": [1.0, 2.0]}).to_parquet(tmp_path / "gold.parquet")
    (tmp_path / "gold.csv").write_text("gold\n1\n2\n")
    (tmp_path / "gold.json").write_text('{"gold": 1}\n')
    save_file({"gold": numpy.ones(2)}, tmp_path / "gold.safetensors")
    feather.write_feather(pyarrow.table({"gold": [1.0, 2.0]}), tmp_path / "gold.feather")
    sqlite3.connect(tmp_path / "gold.db").close()
    return {path.suffix[1:]: path for path in tmp_path.iterdir()}


READS: dict[str, Callable[[dict[str, Path]], Any]] = {
    "parquet.read_table": lambda files: parquet.read_table(files["parquet"]),
    "parquet.read_table by name": lambda files: parquet.read_table(source=str(files["parquet"])),
    "parquet.ParquetFile": lambda files: parquet.ParquetFile(files["parquet"]).read(),
    "pandas.read_parquet": lambda files: pandas.read_parquet(files["parquet"]),
    "a name imported before the fit": lambda files: read_parquet_table(files["parquet"]),
    "pyarrow.memory_map": lambda files: pyarrow.memory_map(str(files["parquet"])).read(),
    "a memory map imported before": lambda files: memory_map(str(files["parquet"])).read(),
    "pyarrow.OSFile": lambda files: pyarrow.OSFile(str(files["parquet"])).read(),
    "pyarrow.input_stream": lambda files: pyarrow.input_stream(str(files["csv"])).read(),
    "LocalFileSystem": lambda files: pyarrow.fs.LocalFileSystem().open_input_file(str(files["csv"])).read(),
    "pyarrow.dataset": lambda files: importlib.import_module("pyarrow.dataset").dataset(files["parquet"]).to_table(),
    "pyarrow.csv": lambda files: importlib.import_module("pyarrow.csv").read_csv(files["csv"]),
    "pyarrow.json": lambda files: importlib.import_module("pyarrow.json").read_json(files["json"]),
    "pyarrow.feather": lambda files: feather.read_table(files["feather"]),
    "safetensors.numpy": lambda files: safetensors.numpy.load_file(files["safetensors"]),
    "safetensors.torch": lambda files: importlib.import_module("safetensors.torch").load_file(files["safetensors"]),
    "safetensors.safe_open": lambda files: safetensors.safe_open(files["safetensors"], "np").keys(),
    "torch.from_file": lambda files: torch.from_file(str(files["csv"]), size=4, dtype=torch.uint8),
    "torch storage": lambda files: torch.UntypedStorage.from_file(str(files["csv"]), False, 4),
    "numpy.memmap": lambda files: numpy.memmap(files["csv"]),
    "numpy.fromfile": lambda files: numpy.fromfile(files["csv"], dtype="u1"),
    "sqlite3": lambda files: sqlite3.connect(files["db"]).close(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_reader_in_compiled_code_is_noticed(ledger: Ledger, files: dict[str, Path], read: Callable) -> None:
    with watching([], ledger.unaccounted):
        read(files)
    (row,) = ledger.rows
    assert ledger.data_class == "unaccounted" and "gold." in row.source


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_reader_in_compiled_code_may_read_what_is_allowed(ledger: Ledger, files: dict, read: Callable) -> None:
    with watching([files["csv"].parent], ledger.unaccounted):
        read(files)
    assert ledger.data_class == "Z"


def test_a_compiled_reader_that_is_first_imported_in_the_fit_is_noticed(tmp_path: Path) -> None:
    script = (
        "from elicit.watch import watching\nseen = []\nwith watching([], seen.append):\n"
        "    from safetensors.numpy import load_file\n    load_file(PATH)\nassert len(seen) == 1, seen\n"
        "from safetensors import safe_open\nassert safe_open is __import__('safetensors.numpy').numpy.safe_open\n"
        "assert type(safe_open) is type, safe_open\n"
    )
    save_file({"gold": numpy.ones(2)}, tmp_path / "gold.safetensors")
    script = script.replace("PATH", repr(str(tmp_path / "gold.safetensors")))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_after_the_watch_every_reader_is_the_original_again(ledger: Ledger) -> None:
    def readers() -> list[Any]:
        owners = (pyarrow, pyarrow.lib, pyarrow.fs, parquet, safetensors, safetensors.numpy, torch)
        found = [vars(owner).get(name) for owner in owners for name in ("memory_map", "OSFile", "safe_open")]
        return [*found, parquet.ParquetFile.__init__, pyarrow.fs.LocalFileSystem, torch.from_file, memory_map]

    before = readers()
    with watching([], ledger.unaccounted):
        assert [id(one) for one in readers()] != [id(one) for one in before]
    assert [id(one) for one in readers()] == [id(one) for one in before]


WAYS: dict[str, Callable[[Ledger], Any]] = {
    "the items that a ledger keeps": lambda ledger: ledger._items.open(),
    "the task of a ledger": lambda ledger: ledger._task.items("test"),
    "the items that a task keeps": lambda ledger: cast(Any, ledger._task)._generated.open(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_kept_items_are_noticed_although_nothing_is_read_again(way: Callable[[Ledger], Any]) -> None:
    """The evaluation reads the test items before the fit, so the task need not make them again."""
    task = FormalTask(n_train=20, n_test=20)
    task.items("test")
    ledger = Ledger(task, "chain")
    with watching([], ledger.unaccounted):
        ledger.items("train")
        assert ledger.data_class == "Z"
        assert way(ledger)
    assert ledger.data_class == "unaccounted"


def test_no_attribute_of_a_view_leads_to_the_task() -> None:
    task = FormalTask(n_train=20, n_test=20)
    view = Ledger(task, "chain").task_view
    assert not any(hasattr(value, "items") for name, value in vars(view).items() if name not in ("prompts", "keys"))
    assert view.extract(" The answer is 3.", True) == task.extract(" The answer is 3.", True)
    assert view.answer_span(" The answer is 3.") == task.answer_span(" The answer is 3.")
    assert view.answer_class("1 2") == "12"


def test_a_task_that_a_view_was_made_of_has_to_make_its_items_anew() -> None:
    task = FormalTask(n_train=20, n_test=20)
    known, ledger = task.items("test"), Ledger(task, "chain")
    with watching([], ledger.unaccounted):
        (copy,) = [cell.cell_contents for cell in cast(Any, ledger.task_view.extract).__closure__]
        assert copy is not task and copy.items("test") == known
    assert ledger.data_class == "unaccounted"
