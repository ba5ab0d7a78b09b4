"""GGUF files: dequantised once, kept as a plain safetensors folder outside the repository.

    $ELICIT_CACHE or ~/.cache/elicit /gguf/<file hash>/
        config.json  model.safetensors (float32)  tokenizer.json ...  gguf.json (written last)

transformers reads the file but gets the tokenizer wrong: it takes the BOS for EOS, prepends a BOS although the file has
`add_bos_token = False`, and ignores the pre-tokenizer. This module corrects all three from the metadata of the file.
Loading always goes through the folder, so the file and its cache are one checkpoint with one id. Knows nothing of
checkpoints or devices. Needs the `gguf` package for the first reading only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from elicit.errors import CheckpointError
from elicit.files import file_hash, read_json, write_json

METADATA = {
    "add_bos": "tokenizer.ggml.add_bos_token",
    "bos": "tokenizer.ggml.bos_token_id",
    "eos": "tokenizer.ggml.eos_token_id",
    "pre_tokenizer": "tokenizer.ggml.pre",
    "tokenizer": "tokenizer.ggml.model",
    "name": "general.name",
    "finetune": "general.finetune",
    "file_type": "general.file_type",
}
DIGIT_SPLITTERS = ("smollm", "starcoder", "refact", "command-r")
"""pre-tokenizers that separate every digit before the byte-level split"""


def dequantised(file: Path, cache: str | None) -> tuple[Path, dict[str, Any], list[str]]:
    """(folder of plain weights, facts for `Checkpoint.info`, notes).

    Raises CheckpointError if the file can't be read, the package is missing or the disk is full.
    """
    key = file_hash(file)
    root, notes = cache_root(cache)
    folder = root / "gguf" / key
    if not (folder / "gguf.json").is_file():
        _fill(file, folder, key)
    metadata = read_json(folder / "gguf.json")
    facts = {"gguf": metadata, "add_bos": metadata["add_bos"], "weights_read_from": str(folder)}
    return folder, facts, [*notes, f"{file.name} was dequantised to float32 in {folder}"]


def cache_root(cache: str | None) -> tuple[Path, list[str]]:
    """The cache folder, created and writable, and a note if it had to be a temporary one.

    A folder that the user set (argument or $ELICIT_CACHE) is never replaced: CheckpointError if it can't be written.
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
    """Dequantise into a temporary folder and rename it to `folder`, which is therefore complete or does not exist."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
    try:
        _convert(file, temporary, key)
        if folder.exists() and not (folder / "gguf.json").is_file():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as fault:
        if not (folder / "gguf.json").is_file():  # otherwise another process was faster, and its folder is the same
            raise CheckpointError(
                f"{file}: can't write weights to {folder.parent} ({fault}); free disk space or set ELICIT_CACHE"
            ) from fault
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _convert(file: Path, folder: Path, key: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # 1) read metadata, tokenizer and weights
    try:
        metadata = read_metadata(file)
        origin = {"pretrained_model_name_or_path": str(file.resolve().parent), "gguf_file": file.name}
        tokenizer = AutoTokenizer.from_pretrained(**origin)
        model = AutoModelForCausalLM.from_pretrained(**origin, dtype=torch.float32)
    except ImportError as fault:
        raise CheckpointError(f"{file}: reading GGUF needs the package gguf ({fault}); pip install gguf") from None
    except (ValueError, TypeError, KeyError, RuntimeError, IndexError, NotImplementedError) as fault:
        raise CheckpointError(
            f"{file}: not a GGUF file that transformers reads ({type(fault).__name__}: {fault}); cut "
            "short? download it again, or use the safetensors weights"
        ) from fault
    # 2) correct what transformers gets wrong about a GGUF file
    correct_tokenizer(tokenizer, metadata)
    _forget_quantisation(model)
    # 3) write a plain folder; gguf.json comes last and says that the folder is complete
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    write_json(folder / "gguf.json", {**metadata, "file": file.name, "file_hash": key})


def _forget_quantisation(model: Any) -> None:
    """The weights are dequantised, but transformers 5 still marks the model as GGUF and refuses to save it."""
    model.hf_quantizer = None
    for owner, name in ((model, "quantization_method"), (model, "is_quantized"), (model.config, "quantization_config")):
        if name in vars(owner):
            delattr(owner, name)


def read_metadata(file: Path) -> dict[str, Any]:
    """The fields of `METADATA`; None for those that the file does not have."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    return {name: fields[key].contents() if key in fields else None for name, key in METADATA.items()}


def correct_tokenizer(tokenizer: Any, metadata: dict[str, Any]) -> None:
    """Set the file's own EOS, BOS convention and digit rule in a tokenizer that transformers converted."""
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
