"""Laws of files between stages: written completely or not at all, readable as the user's umask says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from elicit.errors import DataError
from elicit.files import clear_stage, read_rows, replacing, write_rows, write_text


def test_every_writer_leaves_the_mode_that_the_umask_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "text", "x")
        write_rows(tmp_path / "rows", [{"a": 1}])
        with replacing(tmp_path / "tensors") as temporary:
            save_file({"a": torch.ones(2)}, temporary)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "text", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "text") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["text"] and (tmp_path / "text").read_text() == "old"


def test_clearing_a_stage_removes_nothing_that_a_stage_did_not_write(tmp_path: Path) -> None:
    stage, other = tmp_path / "stage", tmp_path / "other"
    for folder in (stage, other):
        write_rows(folder / "shard-a.parquet", [{"a": 1}])
        write_text(folder / "manifest.json", "{}")
        write_text(folder / "mine.txt", "x")
    write_text(stage / "fingerprint.json", "{}")
    clear_stage(stage)
    clear_stage(other)
    assert [path.name for path in stage.iterdir()] == ["mine.txt"] and len(list(other.iterdir())) == 3


def test_every_changed_byte_of_a_shard_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    rows = [{"item": f"{i:04d}", "j": i, "strict": i % 3 == 0, "answer": str(i * i)} for i in range(40)]
    file = tmp_path / "shard-a.parquet"
    write_rows(file, rows)
    written = file.read_bytes()
    for position in range(0, len(written), 7):
        changed = bytearray(written)
        changed[position] ^= 1 << (position % 8)
        file.write_bytes(changed)
        try:
            assert read_rows([file]) == rows
        except DataError as fault:
            assert str(file) in str(fault)


def test_a_shard_without_a_hash_of_an_older_version_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"a": 1}]), tmp_path / "old.parquet")
    assert read_rows([tmp_path / "old.parquet"]) == [{"a": 1}]
    write_rows(tmp_path / "new.parquet", [{"a": 1}])
    assert pq.read_table(tmp_path / "new.parquet").to_pylist() == [{"a": 1}]  # any reader of Parquet reads it
