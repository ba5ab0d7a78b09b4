"""Training a TopK SAE on own activations, through SAELens' SAETrainer and our own iterator.

    loss = |x - x_hat|^2 + auxiliary loss of dead features     (TopK, Gao et al., arXiv 2406.04093)

Never through HookedTransformer, which accepts official model names only. Pitfalls of SAELens: a trainer configuration
with `lr_end=None` fails an assertion; only `save_inference_model` folds decoder norms; metadata is free-form. The SAE
that is used is the one read back from disk. Knows nothing of prompts or labels. N activations, D width.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from elicit.console import Progress, unseen
from elicit.errors import ConfigError
from elicit.files import seed_of
from methods.sae_steering.dictionary import Dictionary
from methods.sae_steering.loading import from_disk
from methods.sae_steering.store import ActivationStore


@dataclass(frozen=True)
class TrainConfig:
    """How an SAE is trained."""

    expansion: int = 8
    """features over width: d_sae = expansion * D"""
    k: int = 0
    """active features per token; 0: max(8, D / 8)"""
    tokens: int = 160_000
    """activations seen in total; repeated if fewer were collected. Enough for the organisms; a base of 1 B parameters
    or more takes 20 M (configs/method/sae_base.yaml)"""
    batch: int = 1024
    """activations per step"""
    lr: float = 1e-3
    """learning rate of Adam; falls to a tenth over the last fifth"""
    seed: int = 0
    """of samples, weights and order; the run's seed is added. Another seed is another dictionary"""

    def __post_init__(self) -> None:
        if min(self.expansion, self.tokens, self.batch) < 1 or self.k < 0 or not self.lr > 0:
            raise ConfigError(
                f"train: expansion={self.expansion}, k={self.k}, tokens={self.tokens}, batch={self.batch}, "
                f"lr={self.lr}: at least 1 each (k: 0 for automatic), lr above 0"
            )

    def active(self, width: int) -> int:
        """k for a width."""
        return self.k or max(8, width // 8)


def train(
    store: ActivationStore, layer: int, config: TrainConfig, folder: Path, device: torch.device, model_name: str,
    frozen_decoder: bool = False, progress: Progress = unseen,
) -> Dictionary:  # fmt: skip
    """A TopK SAE of the activations of `layer`, saved in SAELens' inference format under `folder`.

    `frozen_decoder`: its rows stay as they were initialised, random directions; only the encoder is trained. The global
    random generator is left as it was.
    """
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.training.sae_trainer import SAETrainer

    # 1) configuration: the architecture, then the optimisation
    width = store.arrays[layer].shape[1]
    steps = max(1, config.tokens // config.batch)
    seed = seed_of("sae", config.seed, layer)
    cfg = TopKTrainingSAEConfig(
        d_in=width,
        d_sae=config.expansion * width,
        k=config.active(width),
        device=str(device),
        normalize_activations="expected_average_only_in",
        metadata=SAEMetadata(model_name=model_name, hook_name=f"blocks.{layer}.hook_resid_post"),
    )
    trainer_cfg = SAETrainerConfig(
        total_training_samples=steps * config.batch,
        train_batch_size_samples=config.batch,
        lr=config.lr,
        lr_end=config.lr / 10,
        lr_decay_steps=steps // 5,
        device=str(device),
        dead_feature_window=max(20, steps // 20),
        feature_sampling_window=steps + 1,
        n_batches_for_norm_estimate=4,
    )
    # 2) weights from the seed, batches in an order from the same seed, the loss of the head
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stderr(io.StringIO()):
        torch.manual_seed(seed % 2**63)
        sae = TopKTrainingSAE(cfg)
        sae.W_dec.requires_grad_(not frozen_decoder)
        source = counted(batches(store.arrays[layer], config.batch, seed), steps, progress)
        SAETrainer(trainer_cfg, sae, source).fit()
    # 3) save, which folds norms into the weights, and read back what was saved
    sae.save_inference_model(folder)
    return from_disk(folder, layer, device, f"trained on {len(store)} own activations")


def counted(source: Iterator[torch.Tensor], steps: int, progress: Progress) -> Iterator[torch.Tensor]:
    """The batches, each reported as a step. The trainer draws a few more, from which it estimates the norm."""
    for done, batch in enumerate(source):
        progress(min(done, steps), steps)
        yield batch


def batches(array_N_D: np.ndarray, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Endless batches [size, D]; every pass over the array has a new order, and passes may meet within a batch."""
    rng = np.random.default_rng(seed)
    order = np.zeros(0, dtype=np.int64)
    while True:
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(len(array_N_D))])
        places, order = np.sort(order[:size]), order[size:]
        yield torch.from_numpy(array_N_D[places])
