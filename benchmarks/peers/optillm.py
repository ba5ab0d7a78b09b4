"""CoT-decoding of the package optillm, called as it is.

Its one file is loaded without the package around it, which starts a server on import and asks for another transformers;
the function needs torch and a model alone. It renders a message itself, so its prompt is read back here, and it
returns text, so its tokens are counted on its calls of `generate()`.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

FILE = "optillm/cot_decoding.py"


def published() -> ModuleType | None:
    """The module with `cot_decode`; None if optillm is not installed."""
    try:
        file = Path(str(metadata.distribution("optillm").locate_file(FILE)))
    except metadata.PackageNotFoundError:
        return None
    spec = importlib.util.spec_from_file_location("optillm_cot_decoding", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prompt_ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """The prompt that `cot_decode` makes of one user message."""
    message = [{"role": "user", "content": text}]
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    else:
        text = f"user: {text}\nassistant:"
    return tuple(tokenizer.encode(text))


def paths(module: ModuleType, model: Any, tokenizer: Any, text: str, k: int, limit: int) -> list[list[int]]:
    """Completion ids of the k paths of one message, at most `limit` tokens each."""
    out: list[list[int]] = []
    length, original = len(prompt_ids(tokenizer, text)), model.generate

    def recorded(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        out.append(result.sequences[0, length:].tolist())
        return result

    model.generate = recorded
    try:
        module.cot_decode(model, tokenizer, [{"role": "user", "content": text}], k=k, max_new_tokens=limit - 1)
    finally:
        del model.generate
    return out
