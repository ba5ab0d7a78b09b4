"""Loading an SAE (SAELens release, hub repository, local folder, Qwen-Scope file), refusing one that does not fit.

    blocks.L.hook_resid_post, model.layers.L   ->  output of block L
    blocks.L.hook_resid_pre                    ->  output of block L - 1
    anything else (mlp, attention, z)          ->  refused: not the residual stream

An SAE was trained on other text: the ledger gets a row that names it (0 foreign tokens: noted, not class T). Reading
its files is allowed inside a fit, connections are not: fetch first (`hf download REPO`) and set HF_HUB_OFFLINE=1, else
the class of the run is "unaccounted".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import CheckpointError, ConfigError, DataError
from elicit.files import read_json
from elicit.policy import layers as model_layers
from elicit.policy.folder import broken_safetensors
from elicit.policy.tensors import check_finite, read_tensors
from elicit.watch import door
from methods.sae_steering.dictionary import Dictionary

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.policy import Policy

BLOCKS = r"(?:model(?:\.decoder)?\.layers|transformer\.(?:h|blocks)|gpt_neox\.layers|backbone\.layers)"
HOOK = re.compile(rf"^(?:blocks\.(?P<block>\d+)\.hook_resid_(?P<site>post|pre)|{BLOCKS}\.(?P<layer>\d+))$")
"""a block's output by the name of TransformerLens, or of transformers: Llama, OPT, GPT-2, MPT, NeoX, Mamba"""


@dataclass(frozen=True)
class SourceConfig:
    """Which dictionaries to load. All empty: none, they are trained."""

    release: str | None = None
    """SAELens release name or hub repository in SAELens' format"""
    ids: tuple[str, ...] = ()
    """SAE ids of the release (paths inside the repository), one per layer"""
    folders: tuple[str, ...] = ()
    """local folders in SAELens' format, one per layer"""
    qwen_scope: tuple[str, ...] = ()
    """layer{n}.sae.pt files of a Qwen-Scope repository: local paths, or REPO:FILE on the hub"""
    k: int | None = None
    """active features per token, if the files do not say (Qwen-Scope: the L0 in the repository's name)"""
    model: str | None = None
    """checkpoint that the SAEs belong to; null: as their files say. A different one is refused unless `any_model`"""
    any_model: bool = False
    """load although the SAE names another model (a base's SAE on its fine-tuned copy)"""

    def __post_init__(self) -> None:
        if bool(self.release) != bool(self.ids):
            raise ConfigError(f"source: release={self.release!r} with ids={list(self.ids)}: both or none")
        if sum(map(bool, (self.release, self.folders, self.qwen_scope))) > 1:
            raise ConfigError("source: one of release, folders and qwen_scope")

    @property
    def given(self) -> bool:
        """Whether anything is to be loaded."""
        return bool(self.release or self.folders or self.qwen_scope)


def load(config: SourceConfig, policy: Policy, ledger: Ledger) -> dict[int, Dictionary]:
    """The dictionaries by layer, checked against the policy's model and booked."""
    device = policy.checkpoint.device
    with door():
        if config.release:
            found = [from_release(config.release, name, device) for name in config.ids]
        elif config.folders:
            found = [from_disk(Path(folder).expanduser(), None, device, folder) for folder in config.folders]
        else:
            found = [from_qwen_scope(name, config.k, device) for name in config.qwen_scope]
    for each in found:
        check(each, policy, config)
        ledger.foreign(each.id, f"dictionary {each.source}", "see its source", tokens=0)
    twice = sorted({each.layer for each in found if sum(other.layer == each.layer for other in found) > 1})
    if twice:
        raise ConfigError(f"source: two dictionaries of layer {twice[0]}; use one per layer")
    return {each.layer: each for each in sorted(found, key=lambda each: each.layer)}


def from_release(release: str, name: str, device: torch.device) -> Dictionary:
    """One SAE of a SAELens release or hub repository. Raises DataError with SAELens' own reason."""
    from sae_lens import SAE

    try:
        sae = SAE.from_pretrained(release, name, device=str(device))
    except (ValueError, OSError) as fault:
        raise DataError(
            f"SAE {name!r} of {release!r} can't be loaded ({fault}): check source.release and source.ids, and fetch "
            "the repository first if there is no network"
        ) from None
    return wrapped(sae, None, f"{release}/{name}")


def from_disk(folder: Path, layer: int | None, device: torch.device, source: str) -> Dictionary:
    """An SAE saved in SAELens' inference format. Raises DataError if the folder is not one."""
    if not (folder / "cfg.json").exists():
        raise DataError(f"{folder}: no cfg.json; expected a folder written by save_inference_model")
    read_json(folder / "cfg.json")
    for file in sorted(folder.glob("*.safetensors")):
        if fault := broken_safetensors(file):
            raise DataError(f"{file} {fault}; copy or fetch it again")
    from sae_lens import SAE
    from safetensors import SafetensorError

    try:
        sae = SAE.load_from_disk(str(folder), device=str(device))
    except (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError, SafetensorError) as fault:
        raise DataError(
            f"{folder}: SAELens can't read it ({fault}); a *training* SAE has to be saved with save_inference_model"
        ) from None
    return wrapped(sae, layer, source)


def from_qwen_scope(name: str, k: int | None, device: torch.device) -> Dictionary:
    """A Qwen-Scope file: a dict of W_enc [F, D], W_dec [D, F], b_enc, b_dec; TopK on the output of block n."""
    from sae_lens import TopKSAE, TopKSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    found = re.search(r"layer(\d+)\.sae\.pt$", name)
    if k is None or not found:
        raise ConfigError(f"qwen_scope={name!r}, k={k}: a file layer<n>.sae.pt, and k (the L0 in the repo's name)")
    tensors = read_tensors(_local(name))
    if missing := sorted({"W_enc", "W_dec", "b_enc", "b_dec"} - set(tensors)):
        raise DataError(f"{name}: no Qwen-Scope file, it has no {', '.join(missing)}; choose layer<n>.sae.pt")
    w_enc, w_dec = tensors["W_enc"].float(), tensors["W_dec"].float()
    features, wide = w_enc.shape
    metadata = SAEMetadata(hook_name=f"blocks.{found[1]}.hook_resid_post")
    sae = TopKSAE(TopKSAEConfig(d_in=wide, d_sae=features, k=k, apply_b_dec_to_input=False, metadata=metadata))
    state = {"W_enc": w_enc.T, "W_dec": w_dec.T, "b_enc": tensors["b_enc"].float(), "b_dec": tensors["b_dec"].float()}
    sae.load_state_dict({key: value.contiguous() for key, value in state.items()})
    return wrapped(sae.to(str(device)), None, name)


def _local(name: str) -> Path:
    """A local file, or REPO:FILE fetched from the hub (from its cache if HF_HUB_OFFLINE is set)."""
    repo, _, file = name.rpartition(":")
    if not repo:
        return Path(name).expanduser()
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo, file))


def wrapped(sae: Any, layer: int | None, source: str) -> Dictionary:
    """A Dictionary of an SAELens SAE, its hook name translated to a layer.

    Raises ConfigError for a hook that is no block output.
    """
    cfg = sae.cfg
    layer = layer_of(cfg.metadata.hook_name, source) if layer is None else layer
    if cfg.normalize_activations == "expected_average_only_in":
        raise ConfigError(
            f"{source}: its activations are scaled by a factor that the files do not hold, so it would read features "
            "at the wrong size: call sae.fold_activation_norm_scaling_factor(factor) and save it anew"
        )
    if cfg.reshape_activations != "none":
        raise ConfigError(f"{source}: reshape_activations={cfg.reshape_activations}: not a residual-stream SAE")
    check_finite(sae.named_parameters(), source)
    for parameter in sae.parameters():
        parameter.requires_grad_(False)
    k = getattr(cfg, "k", None)
    l0 = cfg.metadata.l0
    return Dictionary(layer, sae.eval(), source, float(k) if k is not None else float(l0) if l0 else None)


def layer_of(hook: str | None, source: str) -> int:
    """The 0-based block whose output a hook name means. Raises ConfigError for any other hook."""
    found = HOOK.match(str(hook))
    if not found:
        raise ConfigError(
            f"{source}: hook {hook!r} is not the residual stream (blocks.L.hook_resid_post or hook_resid_pre): choose "
            "a residual SAE, whose id often has `res` or `r` in it"
        )
    layer = int(found["layer"] or found["block"]) - (found["site"] == "pre")
    if layer < 0:
        raise ConfigError(f"{source}: {hook} is the embedding, no block's output: choose an SAE of a later layer")
    return layer


def check(dictionary: Dictionary, policy: Policy, config: SourceConfig) -> None:
    """Raises CheckpointError if width, depth or model disagree with the policy's checkpoint, with the remedy."""
    model, sae = policy.checkpoint.model, dictionary.sae
    width, count = model_layers.width(model), len(model_layers.blocks(model))
    d_in = int(sae.W_dec.shape[1])
    if d_in != width:
        raise CheckpointError(
            f"{dictionary.source} reads a width of {d_in}, {policy.checkpoint.name} has {width}: load the model it was "
            f"trained on (model.path={config.model or sae.cfg.metadata.model_name or '...'}), or another SAE"
        )
    if dictionary.layer >= count:
        raise CheckpointError(
            f"{dictionary.source} belongs to layer {dictionary.layer}, {policy.checkpoint.name} has layers 0 to "
            f"{count - 1}: load the model it was trained on, or another SAE"
        )
    named = config.model or sae.cfg.metadata.model_name
    if named and not config.any_model and not same_model(str(named), _names(policy)):
        raise CheckpointError(
            f"{dictionary.source} was trained on {named}, this is {policy.checkpoint.name}: load that model, or set "
            "method.source.any_model=true if it is a copy of it"
        )


def same_model(named: str, known: Sequence[str]) -> bool:
    """Whether a model name means one of the known ones; compares letters and digits of the last part only."""

    def core(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.rstrip("/").rsplit("/", 1)[-1].lower())

    return any(core(named) == core(name) for name in known)


def _names(policy: Policy) -> list[str]:
    checkpoint = policy.checkpoint
    hub_name = getattr(getattr(checkpoint.model, "config", None), "_name_or_path", "")
    return [checkpoint.name, checkpoint.id, str(checkpoint.config.path), str(hub_name)]
