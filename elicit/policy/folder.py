"""Is a checkpoint folder complete? Checked before transformers opens it, by names, lengths and headers only.

Otherwise a truncated copy fails deep inside a loader, or loads with random tensors, which is worse. Knows nothing of
models; reads no tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from elicit.errors import CheckpointError, DataError
from elicit.files import read_json
from elicit.reading import parse_json


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
        if not isinstance(weight_map, dict) or not weight_map or {type(name) for name in weight_map.values()} != {str}:
            fail(f"{index} has no weight_map of names of files")
        return sorted(set(weight_map.values()))
    if not (folder / "model.safetensors").is_file():
        if any(folder.glob("*.bin")):
            advice = "save it again with save_pretrained(safe_serialization=True)"
            fail(f"{folder} has pickled weights only, which are never read", advice)
        fail(f"{folder} has no model.safetensors, it is half-written")
    return ["model.safetensors"]


def _read_json(file: Path, fail: Callable[..., NoReturn]) -> dict[str, Any]:
    try:
        return dict(read_json(file))
    except DataError as fault:
        fail(str(fault))


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
            header = parse_json(handle.read(length).decode("utf-8"), str(file))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            end = max((int(end) for end in ends), default=0)
        except (ValueError, TypeError, LookupError, DataError):
            return "has no readable header"
    return None if 8 + length + end == size else f"is cut short ({size:,} of {8 + length + end:,} bytes)"
