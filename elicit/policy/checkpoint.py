"""A checkpoint: an untouched base model at a pinned revision, loaded without silent changes.

    path                              what it is
    organism[:twin | :form_only]      the built-in organisms, shipped with the package
    some/folder                       a transformers folder (config, safetensors, tokenizer)
    some/file.gguf                    a GGUF file, dequantised once (see gguf/)
    fetched:NAME                      a GGUF file that `elicit fetch NAME` has installed (see fetched.py)
    Org/name                          a model on the Hugging Face hub, at `revision`

Weights are read as safetensors, never as pickle; huggingface_hub respects HF_HUB_OFFLINE. The model is frozen, in eval
mode, with a fresh GenerationConfig: transformers' default top_k=50 and the checkpoint's own settings would otherwise
silently change the probabilities that are measured. A chat template is applied by the prompt `chat` alone. The id is a
hash of the loaded parameters and the tokenizer, so a folder, its copy and its revision have one id.

What this module does not know: interventions, tasks, how to sample. It never imports `elicit.organisms`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

import elicit
from elicit.errors import CheckpointError, near
from elicit.files import content_hash
from elicit.policy import fetched, gguf, layers
from elicit.policy.decoding import SamplingEngine
from elicit.policy.folder import check_folder
from elicit.policy.intervention import tensor_hash

ORGANISMS = {"organism": "positive"} | {f"organism:{kind}": kind for kind in ("twin", "form_only", "format_twin")}
DTYPES = ("float32", "bfloat16", "float16", "float64")
_ANSWER = "the answer of a turn"
TINY = 20_000_000
"""parameters below which one CPU thread is fastest"""
POST_TRAINED = re.compile(r"(?i)(?<![a-z0-9])(instruct|chat|it|sft|dpo|rlhf)(?![a-z0-9])")
"""words in the names of checkpoints that are no base models. A chat template alone says nothing: some base models
(Qwen2.5) ship the one of their post-trained sibling"""
EXAMPLE = "Question: 2 + 3\nAnswer:"


@dataclass(frozen=True)
class CheckpointConfig:
    """What to load, and how. Constructing it does no work."""

    path: str = "organism"
    """organism[:twin|:form_only], fetched:NAME, a local folder, a GGUF file or a hub id"""
    revision: str | None = None
    """commit, tag or branch of a hub id"""
    device: str = "auto"
    """auto (cuda, then mps, then cpu) or a torch device"""
    dtype: str = "auto"
    """auto (bfloat16 on a GPU that has it, else float32), float32, bfloat16, float16 or float64"""
    attention: str = "auto"
    """auto (transformers' choice), sdpa or eager; a model that soft-caps its attention logits gets eager for sdpa"""
    products: str = "auto"
    """matrix products: auto (oneDNN on a processor where it is the faster one, see products.py) or torch"""
    threads: int = 0
    """CPU threads. 0: one for a model below `TINY` parameters (with more, waiting for each other can cost 30 times as
    much as they gain on a busy machine), for others the default of torch or OMP_NUM_THREADS"""
    trust_remote_code: bool = False
    cache: str | None = None
    """folder of fetched models and dequantised GGUF weights; None: $ELICIT_CACHE, else ~/.cache/elicit"""
    base_model: bool | None = None
    """False: reports print "not a base model: no latent claim". None: False if its name says so (`POST_TRAINED`)"""


@dataclass(eq=False)
class Checkpoint:
    """A loaded base model. Shared by policies, changed only inside `Policy.applied()`."""

    config: CheckpointConfig
    model: Any
    tokenizer: Any
    eos_ids: frozenset[int]
    """every id that ends a completion; empty if the checkpoint names none"""
    bos_id: int | None
    """first token of every prompt; None if the checkpoint's own convention has no BOS"""
    id: str
    """hash of parameters and tokenizer, as loaded"""
    device: torch.device
    dtype: torch.dtype
    base_model: bool = True
    """whether a claim about latent abilities may be made: as stated, else as its name says"""
    notes: tuple[str, ...] = ()
    """what was chosen or corrected on loading, one sentence each"""
    facts: dict[str, Any] = field(default_factory=dict)
    tokenizer_hash: str = ""
    """of everything that turns text into ids (`tokenizer_hash`), as loaded"""
    source: str = ""
    """folder or hub id that transformers read; empty for a model in memory"""
    engine: SamplingEngine | None = None
    """what draws its policies (elicit/sampling/engine.py); None: the step loop"""

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt, with BOS only if that is the checkpoint's own convention."""
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return ids if self.bos_id is None else [self.bos_id, *ids]

    def chat_ids(self, text: str) -> list[int]:
        """Token ids of `text` as the turn of a user in the tokenizer's chat template, up to the answer.

        The template decides about BOS. Raises CheckpointError if the tokenizer has none.
        """
        if not self.tokenizer.chat_template:
            raise CheckpointError(f"the tokenizer of {self.name} has no chat template: choose another prompt than chat")
        turn = [{"role": "user", "content": text}]
        rendered = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(rendered, add_special_tokens=False)["input_ids"])

    def turn_end_ids(self) -> frozenset[int]:
        """The special token that the chat template puts after an answer; empty if it puts none."""
        turns = [{"role": "user", "content": "1"}, {"role": "assistant", "content": _ANSWER}]
        rendered = self.tokenizer.apply_chat_template(turns, tokenize=False)
        after = self.tokenizer(rendered.rpartition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
        special = set(self.tokenizer.all_special_ids)
        return frozenset(next(([token] for token in after if token in special), []))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of token ids without special tokens."""
        return self.tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    @property
    def pad_id(self) -> int:
        """An id to fill rows with. It is masked everywhere, so any would do."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else min(self.eos_ids, default=0)

    @cached_property
    def name(self) -> str:
        """A short name for tables."""
        path = self.config.path
        return path if path in ORGANISMS else Path(path).name.removeprefix(fetched.PREFIX)

    def info(self) -> dict[str, Any]:
        """JSON-able facts for manifests and `elicit doctor`: sizes, device, ids, what the model sees of a prompt."""
        ids = self.encode(EXAMPLE)
        return {
            "id": self.id,
            "name": self.name,
            "path": self.config.path,
            "revision": self.config.revision,
            "base_model": self.base_model,
            "base_model_stated": self.config.base_model is not None,
            "architecture": type(self.model).__name__,
            "n_parameters": sum(p.numel() for p in self.model.parameters()),
            "layers": len(layers.blocks(self.model)),
            "width": layers.width(self.model),
            "vocab": int(self.model.get_input_embeddings().weight.shape[0]),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "attention": getattr(self.model.config, "_attn_implementation", None),
            "eos_ids": sorted(self.eos_ids),
            "bos_id": self.bos_id,
            "pad_id": self.pad_id,
            "example": {"text": EXAMPLE, "ids": ids, "tokens": self.tokenizer.convert_ids_to_tokens(ids)},
            "chat_template": "present, applied by the prompt chat alone" if self.tokenizer.chat_template else None,
            "tokenizer_hash": self.tokenizer_hash,
            **self.facts,
            "notes": list(self.notes),
        }


def load_checkpoint(config: CheckpointConfig) -> Checkpoint:
    """Load a base model, frozen.

    Raises CheckpointError with the value, the place and a remedy: no such path, a half-written folder, pickled weights,
    tensors that are missing or do not belong to the model, no network, not enough memory.
    """
    from elicit.policy.products import fast_products

    # 1) device and dtype
    (device, dtype), notes = placement(config), []
    if config.device == "auto" or config.dtype == "auto":
        notes.append(f"device={config.device}, dtype={config.dtype}: runs on {device} in {_plain(dtype)}")
    # 2) find the files; check a local folder before transformers opens it, dequantise a GGUF file
    source, revision, facts, more = _locate(config)
    # 3) read model and tokenizer
    model, tokenizer = _read(config, source, revision, dtype)
    if commit := getattr(model.config, "_commit_hash", None):
        facts["commit"] = commit
    if threads := config.threads or (1 if model.num_parameters() < TINY and device.type == "cpu" else 0):
        torch.set_num_threads(threads)
    # 4) freeze and hash it, and settle its end and begin tokens
    checkpoint = wrap(model, tokenizer, config, bos=facts.pop("add_bos", None))
    checkpoint.base_model, kind = is_base(config, facts.get("gguf") or {})
    checkpoint.notes = (*notes, *more, *checkpoint.notes, *kind)
    checkpoint.facts, checkpoint.source = facts, source
    # 5) move it to its device, last: it was hashed on the CPU
    try:
        fast = fast_products(checkpoint.model.to(device), config.products)
    except torch.OutOfMemoryError as fault:
        raise CheckpointError(
            f"model.path={config.path!r} does not fit on {device} ({fault}); choose a smaller dtype or device=cpu"
        ) from None
    checkpoint.device, facts["products"] = device, "onednn" if fast else "torch"
    return checkpoint


def placement(config: CheckpointConfig) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of a checkpoint, `auto` resolved. Raises CheckpointError for an unknown one."""
    device = _device(config.device)
    return device, _dtype(config.dtype, device)


def wrap(model: Any, tokenizer: Any, config: CheckpointConfig | None = None, bos: bool | None = None) -> Checkpoint:
    """A Checkpoint of a model in memory: frozen, with a fresh GenerationConfig, on its present device and dtype.

    bos: whether prompts begin with BOS; None takes the tokenizer's own convention.
    """
    config = config or CheckpointConfig(path="in memory")
    eos_ids, notes = end_ids(model, tokenizer)
    words = tokenizer_hash(tokenizer)
    identity = content_hash({"parameters": parameters_hash(model), "tokenizer": words})
    bos_id = tokenizer.bos_token_id if (_prepends_bos(tokenizer) if bos is None else bos) else None
    # transformers' sdpa drops the soft-capping of attention logits without a word (Gemma 2)
    if getattr(model.config, "attn_logit_softcapping", None) and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation("eager")
        notes.append("attention=eager: sdpa would drop the soft-capping of attention logits (attn_logit_softcapping)")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    model.eval().requires_grad_(False)
    first = next(model.parameters())
    loaded = (model, tokenizer, eos_ids, bos_id, identity, first.device, first.dtype)
    checkpoint = Checkpoint(config, *loaded, is_base(config, {})[0], tuple(notes), tokenizer_hash=words)
    model.generation_config = _plain_generation(checkpoint)
    return checkpoint


def is_base(config: CheckpointConfig, metadata: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Whether this is a base model, and a note if a name decided. `metadata`: of a GGUF file (name, finetune)."""
    names = [Path(config.path).name, *(str(metadata[key]) for key in ("name", "finetune") if metadata.get(key))]
    named = next((name for name in names if POST_TRAINED.search(name)), None)
    if config.base_model is not None or named is None:
        return config.base_model is not False, []
    return False, [f"{named!r} names a post-trained model: no latent claim, unless model.base_model=true is stated"]


def end_ids(model: Any, tokenizer: Any) -> tuple[frozenset[int], list[str]]:
    """The ids that end a completion, and a note if the tokenizer is overruled.

    They come from the generation config and the model config together, and from the tokenizer only if both name
    none: some tokenizers name a wrong one (that of SmolLM2's GGUF names the opening of a chat turn).
    """
    generation = getattr(model, "generation_config", None)
    config = layers.text_config(model)
    named: set[int] = set()
    for value in (getattr(generation, "eos_token_id", None), getattr(config, "eos_token_id", None)):
        named |= set(_as_ids(value))
    own = tokenizer.eos_token_id
    if not named:
        return frozenset(_as_ids(own)), [] if own is not None else ["no EOS is named: only stop rules end a text"]
    if own is not None and own not in named:
        return frozenset(named), [
            f"the tokenizer names {tokenizer.eos_token!r} (id {own}) as EOS, the model's config names "
            f"{sorted(named)}: the config is used"
        ]
    return frozenset(named), []


def _as_ids(value: Any) -> list[int]:
    return [] if value is None else [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)]


def _prepends_bos(tokenizer: Any) -> bool:
    ids = tokenizer("a")["input_ids"]
    return tokenizer.bos_token_id is not None and len(ids) > 0 and ids[0] == tokenizer.bos_token_id


def _plain_generation(checkpoint: Checkpoint) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0,
        eos_token_id=sorted(checkpoint.eos_ids) or None, pad_token_id=checkpoint.pad_id, bos_token_id=checkpoint.bos_id,
    )  # fmt: skip


def parameters_hash(model: torch.nn.Module) -> str:
    """Hash of all parameters by name, shape, dtype and bits; tied parameters are hashed once."""
    with ThreadPoolExecutor(4) as pool:
        return content_hash(sorted(pool.map(lambda named: (named[0], tensor_hash(named[1])), model.named_parameters())))


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash of everything that turns text into ids, so without padding and truncation."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return content_hash({"vocabulary": tokenizer.get_vocab(), "special": tokenizer.all_special_tokens})
    state = json.loads(backend.to_str())
    return content_hash({key: value for key, value in state.items() if key not in ("padding", "truncation")})


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _device(name: str) -> torch.device:
    if name != "auto":
        try:
            torch.empty(0, device=name)  # "cuda" is a name that torch knows on every machine
        except (RuntimeError, AssertionError):
            raise CheckpointError(f"model.device={name!r}: no such device here; use auto, cpu or cuda:N") from None
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if name not in DTYPES:
        raise CheckpointError(f"model.dtype={name!r}: {near(name, ['auto', *DTYPES])}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _locate(config: CheckpointConfig) -> tuple[str, str | None, dict[str, Any], list[str]]:
    """(name or folder for transformers, revision, facts, notes); local folders are checked for completeness."""
    path = config.path
    if path.split(":")[0] == "organism":
        if path not in ORGANISMS:
            raise CheckpointError(f"model.path={path!r}: no such organism; {near(path, ORGANISMS)}")
        folder = Path(elicit.__file__).parent / "organisms" / "checkpoints" / ORGANISMS[path]
        check_folder(folder, path, "build it with `elicit organism build`")
        return str(folder), None, {}, []
    local = Path(path).expanduser()
    if path.startswith(fetched.PREFIX):
        local = fetched.installed(path.removeprefix(fetched.PREFIX), config.cache)
    if local.suffix.lower() == ".gguf":
        if not local.is_file():
            raise CheckpointError(f"model.path={path!r}: no such GGUF file; download it and give its local path")
        folder, facts, notes = gguf.dequantised(local, config.cache)
        check_folder(folder, path, f"delete {folder} and load again")
        return str(folder), None, facts, notes
    if local.exists() or local.is_absolute() or path.startswith((".", "~")) or path.count("/") > 1:
        check_folder(local, path, "copy or save it again")
        return str(local), None, {}, []
    return path, config.revision, {}, []


def _read(config: CheckpointConfig, source: str, revision: str | None, dtype: torch.dtype) -> tuple[Any, Any]:
    """Model and tokenizer by transformers. Raises CheckpointError if tensors are missing or unknown to the model."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    if revision is not None:
        options["revision"] = revision
    attention = {} if config.attention == "auto" else {"attn_implementation": config.attention}
    # this tokenizer was checked; transformers 4.57 warns of every local one with more than 100,000 tokens
    checked = {"fix_mistral_regex": False} if (Path(source) / "gguf.json").is_file() else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **checked, **options)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, use_safetensors=True, output_loading_info=True, **attention, **options
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as fault:
        raise CheckpointError(_why(config, source, fault)) from fault
    model, report = loaded
    # transformers only warns of these: missing tensors would be random, unexpected ones silently ignored
    for kind, verb in (("missing_keys", "lacks"), ("unexpected_keys", "has tensors that the model ignores:")):
        names = sorted(str(name) for name in report[kind])
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise CheckpointError(
                f"model.path={config.path!r}: {source} {verb} {shown}; it is not a complete "
                f"checkpoint of {type(model).__name__}: load an adapter or a vector as an intervention"
            )
    return model, tokenizer


def _why(config: CheckpointConfig, source: str, fault: Exception) -> str:
    from huggingface_hub import constants

    head = f"model.path={config.path!r}" + (f", revision={config.revision!r}" if config.revision else "")
    reason = " ".join(str(fault).split())[:300]
    if Path(source).exists():
        return f"{head}: can't be loaded from {source} ({type(fault).__name__}: {reason}); save or download it again"
    if constants.HF_HUB_OFFLINE:
        return (
            f"{head}: not a local folder, and not in the hub's cache while HF_HUB_OFFLINE=1; download it first, "
            "unset HF_HUB_OFFLINE, or give a local folder"
        )
    return (
        f"{head}: not a local folder, and the hub did not return it ({type(fault).__name__}: {reason}); check the "
        "spelling, the network and HF_TOKEN, or give a local folder, a GGUF file or `organism`"
    )
