"""SAEs that the tests make in SAELens' own formats, and a naive restatement of each architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

FEATURES = 24
KINDS = ("standard", "topk", "batchtopk", "jumprelu")


def made_sae(
    kind: str, width: int, folder: Path, hook: str = "blocks.1.hook_resid_post", model: str | None = None
) -> Path:
    """A random SAE saved by SAELens' own code, decoder rows of different norms."""
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        JumpReLUSAE,
        JumpReLUSAEConfig,
        StandardSAE,
        StandardSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )
    from sae_lens.saes.sae import SAEMetadata

    torch.manual_seed(3)
    common: dict[str, Any] = {
        "d_in": width,
        "d_sae": FEATURES,
        "metadata": SAEMetadata(hook_name=hook, model_name=model),
    }
    if kind == "standard":
        sae: Any = StandardSAE(StandardSAEConfig(**common))
    elif kind == "jumprelu":
        sae = JumpReLUSAE(JumpReLUSAEConfig(**common))
    elif kind == "topk":
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(**common, k=4))
    else:
        sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**common, k=4))
    with torch.no_grad():
        sae.W_dec.mul_(torch.linspace(0.01, 3.0, FEATURES)[:, None])
        sae.W_enc.copy_(torch.randn(width, FEATURES) / width**0.5)
        sae.b_dec.normal_(0, 0.1)
        sae.b_enc.normal_(0, 0.1)
        if kind == "jumprelu":
            sae.threshold.uniform_(0, 0.5)
        if kind == "batchtopk":
            sae.topk_threshold.fill_(0.3)
    if kind in ("topk", "batchtopk"):
        sae.save_inference_model(folder)
    else:
        sae.save_model(folder)
    return folder


def sae_of(directions_F_D: torch.Tensor, k: int | None, folder: Path, hook: str = "blocks.0.hook_resid_post") -> Path:
    """An SAE whose features are given directions: the k largest fire, or (None) those above .1, which no noise is."""
    from sae_lens import JumpReLUSAE, JumpReLUSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    common: dict[str, Any] = dict(zip(("d_sae", "d_in"), directions_F_D.shape, strict=True))
    common |= {"metadata": SAEMetadata(hook_name=hook)}
    sae: Any = (
        JumpReLUSAE(JumpReLUSAEConfig(**common)) if k is None else TopKTrainingSAE(TopKTrainingSAEConfig(**common, k=k))
    )
    with torch.no_grad():
        sae.W_dec.copy_(directions_F_D)
        sae.W_enc.copy_(directions_F_D.T)
        if k is None:
            sae.threshold.fill_(0.1)
    (sae.save_model if k is None else sae.save_inference_model)(folder)
    return folder


def naive(folder: Path, x_N_D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(activations, reconstruction) from the saved tensors alone, row by row."""
    import json

    from safetensors.torch import load_file

    cfg, t = json.loads((folder / "cfg.json").read_text()), load_file(folder / "sae_weights.safetensors")
    acts = torch.zeros(len(x_N_D), FEATURES)
    for n, x in enumerate(x_N_D):
        pre = [(x - t["b_dec"]) @ t["W_enc"][:, f] + t["b_enc"][f] for f in range(FEATURES)]
        rescaled = cfg.get("rescale_acts_by_decoder_norm", False)
        weight = [p * t["W_dec"][f].norm() if rescaled else p for f, p in enumerate(pre)]
        best = sorted(range(FEATURES), key=lambda f: -weight[f])[: cfg.get("k", FEATURES)]
        for f in range(FEATURES):
            if cfg["architecture"] == "jumprelu":
                on = pre[f] > 0 and pre[f] > t["threshold"][f]
            else:
                on = f in best and pre[f] > 0
            acts[n, f] = pre[f] if on else 0.0
    return acts, acts @ t["W_dec"] + t["b_dec"]
