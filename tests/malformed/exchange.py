"""Malformed interventions of other tools: each exchange format x the defects of its files and of its values."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.malformed.case import Case
from tests.malformed.files import json_defects, yaml_defects


def _read(folder: Path, name: str) -> Any:
    from elicit.policy.exchange.read import find

    return find(folder / name).read(None, None)


def _case(family: str, name: str, write: Callable[[Path], Any], file: str, names: str = "") -> Case:
    def try_it(folder: Path) -> Any:
        write(folder)
        return _read(folder, file)

    return Case(family, f"{file or 'folder'}: {name}", try_it, names or file)


def _vectors(folder: Path, tensors: dict[str, Any], name: str = "v.safetensors") -> None:
    import torch
    from safetensors.torch import save_file

    made = {key: torch.tensor(value) for key, value in tensors.items()}
    if name.endswith(".pt"):
        torch.save(made, folder / name)
    else:
        save_file(made, folder / name)


CARD = "layer: 2\nhook_point: resid_post\noperation: add\nscale: 1.0\n"
CARD_LINES = {
    "layer a negative number": "layer: -2\n",
    "layer text": "layer: two\n",
    "layer a fraction": "layer: 1.5\n",
    "layer a list": "layer: [1, 2]\n",
    "layer true": "layer: true\n",
    "no layer": "scale: 1.0\n",
    "an unknown site": "layer: 2\nhook_point: hook_mlp_out\n",
    "a site that is a number": "layer: 2\nhook_point: 7\n",
    "two layers": "layer: 2\nhook_point: blocks.3.hook_resid_post\n",
    "an unknown operation": "layer: 2\noperation: multiply\n",
    "an operation that is a list": "layer: 2\noperation: [add]\n",
    "scale text": "layer: 2\nscale: large\n",
    "scale NaN": "layer: 2\nscale: .nan\n",
    "scale a mapping": "layer: 2\nscale: {a: 1}\n",
    "an unknown tensor": "layer: 2\ntensor: yours\n",
    "a tensor that is a number": "layer: 2\ntensor: 7\n",
    "an unknown field": "layer: 2\nstrenght: 3\n",
    "positions unknown": "layer: 2\nwrite: sometimes\n",
    "positions a number": "layer: 2\nwrite: 3\n",
    "edits a mapping": "edits: {layer: 2}\n",
    "edits a number": "edits: 7\n",
    "edits a list of numbers": "edits: [1, 2]\n",
    "no edit": "edits: []\n",
    "edits and more": "edits: [{layer: 2}]\nlayer: 3\n",
    "an encoder that is missing": "layer: 2\nencoder: nothing\n",
    "a gate that is missing": "layer: 2\ngate: nothing\n",
    "a half-life of 0": "layer: 2\nhalf_life: 0\n",
    "first a negative number": "layer: 2\nfirst: -3\n",
}


def exchange_cases() -> Iterator[Case]:
    """Cards, files of vectors, control vectors, LoRA folders, and paths that hold none of them."""
    family = "exchange: cards"
    for name, text in CARD_LINES.items():

        def card(folder: Path, text: str = text) -> None:
            _vectors(folder, {"mine": [1.0, 2.0]})
            (folder / "v.yaml").write_text(text)

        yield _case(family, name, card, "v.yaml")
    for name, content in yaml_defects(CARD):

        def broken(folder: Path, content: bytes = content) -> None:
            _vectors(folder, {"mine": [1.0, 2.0]})
            (folder / "v.yaml").write_bytes(content)

        yield _case(family, name, broken, "v.yaml")
    yield _case(family, "no tensors next to it", lambda folder: (folder / "v.yaml").write_text(CARD), "v.yaml")
    yield from _vector_files()
    yield from _folders()


def _vector_files() -> Iterator[Case]:
    family = "exchange: vectors"
    values: dict[str, dict[str, Any]] = {
        "no tensor": {},
        "a name that is no layer": {"mine": [1.0]},
        "a layer beyond all numbers": {"9" * 40: [1.0]},
        "a NaN": {"layer_1": [1.0, float("nan")]},
        "an infinite number": {"layer_1": [float("inf"), 1.0]},
        "no number in it": {"layer_1": [[]]},
        "one layer twice": {"layer_1": [1.0, 2.0], "1": [1.0, 2.0]},
        "two widths": {"layer_1": [1.0, 2.0], "layer_2": [1.0]},
        "truth values": {"layer_1": [True, False]},
        "a matrix": {"layer_1": [[1.0, 2.0], [3.0, 4.0]]},
        "a single number": {"layer_1": 1.0},
    }
    for name, tensors in values.items():
        for file in ("v.safetensors", "v.pt"):
            yield _case(family, name, partial(_vectors, tensors=tensors, name=file), file)
    contents = {"empty": b"", "text": b"abc", "zeros": b"\0" * 64, "a long header": b"\xff" * 7 + b"\0" + b"{}"}
    for name, content in contents.items():
        for file in ("v.safetensors", "v.pt", "v.pth", "v.gguf"):
            yield _case(family, name, partial(_written, file=file, content=content), file)
    objects: dict[str, object] = {"a list": [1.0], "a number": 7, "code": _Code(), "text": "x"}
    for name, value in objects.items():
        yield _case(family, f"a pickle of {name}", partial(_written, file="v.pt", content=pickle.dumps(value)), "v.pt")
    objects = {"a list": [1.0], "nested": {"a": {"b": 1}}, "no tensors": {"layer_1": [1.0]}, "text": "x"}
    for name, value in objects.items():
        yield _case(family, f"saved by torch: {name}", partial(_saved, value=value), "v.pt")


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


def _written(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)


def _saved(folder: Path, value: object) -> None:
    import torch

    torch.save(value, folder / "v.pt")


LORA: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}


def _folders() -> Iterator[Case]:
    family = "exchange: folders"
    for name, content in json_defects(LORA, True):
        write = partial(_written, file="adapter_config.json", content=content)
        yield _case(family, name, write, "", "adapter_config")
    for key, value in {
        "peft_type": "IA3", "r": 0, "lora_alpha": "x", "rank_pattern": [1], "use_dora": True, "alpha_pattern": "x",
        "bias": "all", "modules_to_save": ["lm_head"],
    }.items():  # fmt: skip
        yield _case(family, f"adapter {key}={value}", partial(_adapter, config={**LORA, key: value}), "", "adapter")
    for name, names in {
        "no pair": ["base_model.model.a.lora_A.weight"],
        "a name of no module": ["x.lora_A.weight", "x.lora_B.weight"],
        "no matrix": [],
    }.items():
        yield _case(family, f"adapter tensors: {name}", partial(_adapter, names=names), "", "adapter_model")
    yield _case(family, "nothing in it", lambda folder: None, "", "path=")
    for file in ("v.txt", "v.onnx", "v"):
        yield _case(family, "a file of no known kind", partial(_written, file=file, content=b"x"), file)
    yield _case(family, "no such file", lambda folder: None, "nothing.pt")


def _adapter(folder: Path, config: dict[str, Any] = LORA, names: list[str] | None = None) -> None:
    import torch
    from safetensors.torch import save_file

    (folder / "adapter_config.json").write_text(json.dumps(config))
    stem = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    names = [f"{stem}A.weight", f"{stem}B.weight"] if names is None else names
    shapes = {"A": (2, 4), "B": (4, 2)}
    tensors = {name: torch.ones(shapes.get(name.split("lora_")[-1][:1], (2, 2))) for name in names}
    save_file(tensors, folder / "adapter_model.safetensors")
