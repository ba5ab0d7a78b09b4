"""GGUF files: dequantised once, kept as a plain safetensors folder outside the repository.

    $ELICIT_CACHE or ~/.cache/elicit /gguf/<file hash>/
        config.json  model.safetensors (float32)  tokenizer.json ...  gguf.json (written last)

transformers reads the file; what it gets wrong about the tokenizer is mended here from the file's own
metadata: it names the BOS as EOS, prepends a BOS that `add_bos_token = False` denies, and knows no
pre-tokenizer. Loading always goes through the folder, so file and cache are one checkpoint with one id.
Knows nothing of checkpoints or devices. Needs the `gguf` package for the first reading only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Any

from elicit.errors import CheckpointError
from elicit.files import read_json, write_json

METADATA = {
    "add_bos": "tokenizer.ggml.add_bos_token",
    "bos": "tokenizer.ggml.bos_token_id",
    "eos": "tokenizer.ggml.eos_token_id",
    "pre_tokenizer": "tokenizer.ggml.pre",
    "tokenizer": "tokenizer.ggml.model",
    "name": "general.name",
    "file_type": "general.file_type",
}
DIGIT_SPLITTERS = ("smollm", "starcoder", "refact", "command-r")
"""pre-tokenizers that set every digit apart before the byte-level split"""


def dequantised(file: Path, cache: str | None) -> tuple[Path, dict[str, Any], list[str]]:
    """(folder of plain weights, facts for `Checkpoint.info`, notes).

    Raises CheckpointError where the file can't be read, the package is missing or the disk is full.
    """
    key = file_hash(file)
    root, notes = cache_root(cache)
    folder = root / "gguf" / key
    if not (folder / "gguf.json").is_file():
        _fill(file, folder, key)
    metadata = read_json(folder / "gguf.json")
    facts = {"gguf": metadata, "add_bos": metadata["add_bos"], "weights_read_from": str(folder)}
    return folder, facts, [*notes, f"{file.name} was dequantised to float32 in {folder}"]


def file_hash(file: Path) -> str:
    """Hash of a file's bytes."""
    digest = blake2b(digest_size=16)
    with file.open("rb") as handle:
        while block := handle.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def cache_root(cache: str | None) -> tuple[Path, list[str]]:
    """The cache folder, made and writable, and a note where it had to be a temporary one.

    A folder that somebody asked for (argument or $ELICIT_CACHE) is never replaced: CheckpointError.
    """
    asked = cache or os.environ.get("ELICIT_CACHE")
    wanted = Path(asked).expanduser() if asked else Path("~/.cache/elicit").expanduser()
    if _writable(wanted):
        return wanted, []
    if asked:
        raise CheckpointError(f"cache folder {wanted} can't be written; set model.cache or ELICIT_CACHE to another")
    spare = Path(tempfile.gettempdir()) / f"elicit-cache-{os.getuid()}"
    if not _writable(spare) or spare.stat().st_uid != os.getuid():
        raise CheckpointError(f"neither {wanted} nor {spare} can be written; set ELICIT_CACHE to a folder that can")
    return spare, [f"{wanted} can't be written: weights are kept in {spare}; set ELICIT_CACHE to choose another"]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _fill(file: Path, folder: Path, key: str) -> None:
    """Dequantise into a folder beside `folder` and rename it into place: whole or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
    try:
        _convert(file, temporary, key)
        if folder.exists() and not (folder / "gguf.json").is_file():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as fault:
        if not (folder / "gguf.json").is_file():  # else another process was first: its folder is as good
            raise CheckpointError(
                f"{file}: the weights can't be kept in {folder.parent} ({fault}); free disk space or set ELICIT_CACHE"
            ) from fault
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _convert(file: Path, folder: Path, key: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        metadata = read_metadata(file)
        place = {"pretrained_model_name_or_path": str(file.resolve().parent), "gguf_file": file.name}
        tokenizer = AutoTokenizer.from_pretrained(**place)
        model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    except ImportError as fault:
        raise CheckpointError(f"{file}: reading GGUF needs the package gguf ({fault}); pip install gguf") from None
    except (ValueError, TypeError, KeyError, RuntimeError, IndexError, NotImplementedError) as fault:
        raise CheckpointError(
            f"{file}: not a GGUF file that transformers reads ({type(fault).__name__}: {fault}); cut "
            "short? download it again, or use the safetensors weights"
        ) from fault
    mend_tokenizer(tokenizer, metadata)
    _forget_quantisation(model)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    write_json(folder / "gguf.json", {**metadata, "file": file.name, "file_hash": key})


def _forget_quantisation(model: Any) -> None:
    """The weights are dequantised by now; transformers 5 still calls the model GGUF and would not save it."""
    model.hf_quantizer = None
    for owner, name in ((model, "quantization_method"), (model, "is_quantized"), (model.config, "quantization_config")):
        if name in vars(owner):
            delattr(owner, name)


def read_metadata(file: Path) -> dict[str, Any]:
    """The fields of `METADATA`, None where the file is silent."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    return {name: fields[key].contents() if key in fields else None for name, key in METADATA.items()}


def mend_tokenizer(tokenizer: Any, metadata: dict[str, Any]) -> None:
    """Put the file's own EOS, BOS convention and digit rule into a tokenizer that transformers converted."""
    from tokenizers import pre_tokenizers, processors

    for role in ("bos", "eos"):
        if metadata[role] is not None:
            setattr(tokenizer, f"{role}_token", tokenizer.convert_ids_to_tokens(int(metadata[role])))
    backend = tokenizer.backend_tokenizer
    if metadata["add_bos"] is False:
        for name in ("add_bos_token", "_add_bos_token"):
            if hasattr(tokenizer, name):
                setattr(tokenizer, name, False)
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
    if metadata["pre_tokenizer"] in DIGIT_SPLITTERS:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
