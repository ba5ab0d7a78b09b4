"""Undoes what TRL, the Trainer and accelerate change about a model, a tokenizer and the process during a fit.

TRL patches `model.forward`, sets pad ids in the configs, switches dropout off and seeds every global generator;
accelerate wraps `forward` again under mixed precision. None of that outlives a fit.
"""

from __future__ import annotations

import copy
import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from elicit import ranks


@contextmanager
def restored(model: Any, tokenizer: Any) -> Iterator[None]:
    """On leaving, the model's attributes, configs, flags and dropout and the tokenizer's padding are as before."""
    attributes = dict(model.__dict__)
    config = {name: getattr(model.config, name, None) for name in ("pad_token_id", "use_cache")}
    generation = copy.deepcopy(getattr(model, "generation_config", None))
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    dropout = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    modes = {name: module.training for name, module in model.named_modules()}
    padding = tokenizer.padding_side, tokenizer.pad_token
    try:
        yield
    finally:
        if getattr(model, "is_gradient_checkpointing", False):
            model.gradient_checkpointing_disable()
        for name in set(model.__dict__) - set(attributes):
            delattr(model, name)
        model.__dict__.update(attributes)
        for name, value in config.items():
            setattr(model.config, name, value)
        model.generation_config = generation
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])
            parameter.grad = None
        for name, module in model.named_modules():
            module.training = modes[name]
            if name in dropout:
                module.p = dropout[name]
        tokenizer.padding_side, tokenizer.pad_token = padding


@contextmanager
def decoder_found(model: Any) -> Iterator[None]:
    """Inside, `model.base_model` is its decoder, which TRL asks for hidden states.

    transformers 4.57 gives Gemma-3's text model the prefix of its multimodal one, and `base_model` is the whole model.
    """
    mistaken = model.base_model is model
    decoder = model.get_decoder() if mistaken else model
    if decoder is model:
        yield
        return
    model.base_model_prefix = next(name for name, child in model.named_children() if child is decoder)
    try:
        yield
    finally:
        del model.base_model_prefix


@contextmanager
def own_randomness(seed: int | None = None) -> Iterator[None]:
    """On leaving, the global generators of Python, numpy and torch are as before; inside they start at `seed`.

    None: inside they continue from their present state.
    """
    python, legacy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            if seed is not None:
                random.seed(seed)
                np.random.seed(seed % 2**32)
                torch.manual_seed(seed % 2**63)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)


@contextmanager
def own_environment() -> Iterator[None]:
    """Inside, the environment variables of accelerate and of launchers are unset; on leaving they are as before.

    The Trainer writes its precision into one of them, from which the next trainer of the process would take it. What
    several processes divide is divided by our own trainers (`resumable.py`).
    """
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("ACCELERATE_")}
    try:
        with ranks.hidden():
            yield
    finally:
        for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, warnings and log lines of the training libraries are suppressed; errors are not."""
    loggers = [logging.getLogger(name) for name in ("transformers", "trl", "accelerate", "peft")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
