"""Nothing is read past the ledger (invariant 10): an audit hook watches while a method is built and fitted."""

from __future__ import annotations

import importlib
import socket
import sys
from pathlib import Path

import pytest

from elicit.ledger import Ledger
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
