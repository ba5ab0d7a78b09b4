"""Laws of files between stages: written completely or not at all, readable as the user's umask says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from elicit.files import replacing, write_rows, write_text


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
