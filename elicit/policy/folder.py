"""Is a checkpoint folder complete? Checked before transformers opens it, by names, lengths and headers only.

Otherwise a truncated copy fails deep inside a loader, or loads with random tensors, which is worse. Knows nothing of
models; reads no tensor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from elicit.errors import CheckpointError


def check_folder(folder: Path, value: str, remedy: str) -> None:
    """Raises CheckpointError if a checkpoint folder is missing, half-written or not safetensors.

    value: the user's `model.path`; remedy: what the message advises.
    """

    def fail(fault: str, advice: str = remedy) -> NoReturn:
        raise CheckpointError(f"model.path={value!r}: {fault}; {advice}")

    if not folder.is_dir():
        fail(f"no folder {folder}" if not folder.exists() else f"{folder} is not a folder")
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            fail(f"{folder} is a PEFT adapter", "load its base model and stack the adapter as a WeightEdit")
        if files := sorted(folder.glob("*.gguf")):
            fail(f"{folder} holds a GGUF file", f"give the file: {files[0]}")
        fail(f"{folder} has no config.json, it is half-written or not a model folder")
    _read_json(folder / "config.json", fail)
    for name in _weight_files(folder, fail):
        if problem := broken_safetensors(folder / name):
            fail(f"{folder / name} {problem}")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        fail(f"{folder} has no tokenizer.json, it is half-written", "save the tokenizer next to the model")


def _weight_files(folder: Path, fail: Callable[..., NoReturn]) -> Sequence[str]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        weight_map = _read_json(index, fail).get("weight_map")
        return sorted(set(weight_map.values())) if weight_map else fail(f"{index} has no weight_map")
    if not (folder / "model.safetensors").is_file():
        if any(folder.glob("*.bin")):
            advice = "save it again with save_pretrained(safe_serialization=True)"
            fail(f"{folder} has pickled weights only, which are never read", advice)
        fail(f"{folder} has no model.safetensors, it is half-written")
    return ["model.safetensors"]


def _read_json(file: Path, fail: Callable[..., NoReturn]) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as fault:
        fail(f"{file} is not JSON ({fault})")


def broken_safetensors(file: Path) -> str | None:
    """The fault of a safetensors file: missing, cut short, no header. None if its length agrees with its header."""
    if not file.is_file():
        return "is missing"
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > size - 8:
            return "is cut short"
        try:
            header = json.loads(handle.read(length))
        except ValueError:
            return "has no readable header"
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    return None if 8 + length + end == size else f"is cut short ({size:,} of {8 + length + end:,} bytes)"
