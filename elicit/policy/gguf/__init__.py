"""GGUF files: dequantised once, kept as a plain safetensors folder outside the repository.

    $ELICIT_CACHE or ~/.cache/elicit /gguf/<file hash>-<FORMAT>/
        config.json  model.safetensors (float32)  tokenizer.json ...  gguf.json (written last)

The file is read here and not by transformers, which takes minutes for a large vocabulary and is wrong about tokenizers
(tokenizer.py), ends of texts and tensors that it does not know:

    header.py         metadata and where the tensors are        vocabulary.py   the section of the tokenizer
    architecture.py   configuration and tensor names            tokenizer.py    a fast tokenizer, rebuilt
    weights.py        dequantised values as safetensors         reading.py      the same by the published algorithms
                                                                check.py        refuses a tokenizer that disagrees

Loading always goes through the folder, so the file and its cache are one checkpoint with one id. Knows nothing of
checkpoints or devices. Needs the `gguf` package (dequantisation) for the first reading only.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elicit.console import Progress, unseen
from elicit.errors import CheckpointError
from elicit.files import file_hash, read_json, write_json
from elicit.policy.cache import cache_root
from elicit.policy.gguf.architecture import architecture_of, configuration
from elicit.policy.gguf.check import check_tokenizer
from elicit.policy.gguf.header import read_header
from elicit.policy.gguf.tokenizer import rebuilt
from elicit.policy.gguf.vocabulary import read_vocabulary
from elicit.policy.gguf.weights import write_weights

FORMAT = 2
"""of the folders in the cache. Those of another format are not used: format 1 held transformers' tokenizers"""
GENERAL = ("name", "finetune", "file_type", "license")
"""keys `general.*` that are kept in gguf.json"""


@dataclass(frozen=True)
class Source:
    """gguf.json: what a folder of the cache was made of."""

    file: str
    file_hash: str
    format: int
    architecture: str
    tokenizer: str
    pre_tokenizer: str | None
    add_bos: bool
    end_tokens: list[str]
    name: str | None = None
    finetune: str | None = None
    file_type: int | None = None
    license: str | None = None


def dequantised(
    file: Path, cache: str | None, progress: Progress | None = None
) -> tuple[Path, dict[str, Any], list[str]]:
    """(folder of plain weights, facts for `Checkpoint.info`, notes).

    Raises CheckpointError if the file can't be read exactly, the package gguf is missing or the disk is full.
    """
    key = file_hash(file)
    root, notes = cache_root(cache)
    folder = root / "gguf" / f"{key}-{FORMAT}"
    if not (folder / "gguf.json").is_file():
        _fill(file, folder, key, progress or unseen)
    source = read_json(folder / "gguf.json")
    facts = {"gguf": source, "add_bos": source["add_bos"], "weights_read_from": str(folder)}
    return folder, facts, [*notes, f"{file.name} was dequantised to float32 in {folder}"]


def shape(file: Path) -> Any:
    """The transformers configuration, from the header alone. Raises CheckpointError."""
    return configuration(read_header(file))


def _fill(file: Path, folder: Path, key: str, progress: Progress) -> None:
    """Dequantise into a temporary folder and rename it to `folder`, which is therefore complete or does not exist."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
    try:
        _convert(file, temporary, key, progress)
        if folder.exists() and not (folder / "gguf.json").is_file():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except ImportError as fault:
        raise CheckpointError(f"{file}: reading GGUF needs the package gguf ({fault}); pip install gguf") from None
    except OSError as fault:
        if not (folder / "gguf.json").is_file():  # otherwise another process was faster, and its folder is the same
            raise CheckpointError(
                f"{file}: can't write weights to {folder.parent} ({fault}); free disk space or set ELICIT_CACHE"
            ) from fault
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _convert(file: Path, folder: Path, key: str, progress: Progress) -> None:
    from transformers import GenerationConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    # 1) the tokenizer, which is refused before the long part
    header = read_header(file)
    kind, config = architecture_of(header), configuration(header)
    vocabulary = read_vocabulary(header.metadata, str(file))
    tokenizer = rebuilt(vocabulary, config.max_position_embeddings)
    check_tokenizer(tokenizer, vocabulary, str(file))
    tokenizer.save_pretrained(folder)
    # 2) the configuration, with every token that ends a text
    roles = {"bos_token_id": vocabulary.bos, "eos_token_id": vocabulary.eos, "pad_token_id": vocabulary.pad}
    config.update({**roles, "architectures": [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[config.model_type]]})
    config.save_pretrained(folder)
    GenerationConfig(**{**roles, "eos_token_id": vocabulary.end_ids() or None}).save_pretrained(folder)
    # 3) the weights; gguf.json comes last and says that the folder is complete
    write_weights(header, kind, config, folder / "model.safetensors", progress)
    source = Source(
        file.name,
        key,
        FORMAT,
        str(header.metadata["general.architecture"]),
        vocabulary.kind,
        header.metadata.get("tokenizer.ggml.pre"),
        vocabulary.add_bos,
        [vocabulary.tokens[number] for number in vocabulary.end_ids()],
        **{name: header.metadata.get(f"general.{name}") for name in GENERAL},
    )
    write_json(folder / "gguf.json", asdict(source))
