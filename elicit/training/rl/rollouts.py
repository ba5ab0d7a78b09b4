"""Rollouts of the policy that is being trained, and the engines that draw them.

    loop       our step loop: hooks are told positions, a rollout's draw depends on its own key only
    generate   transformers' generate, as a fallback
    vllm       TRL's engine, for weights only; refused where it is absent or does not answer

All draw at temperature 1 without truncation and end at EOS, at a stop string of the task or at the token
limit. What this module does not know: rewards, gradients.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import torch

from elicit.errors import ConfigError, MethodError
from elicit.files import seed_of
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.records import FINISHED, Finish, Item
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.loop.text import Decoder, StopFinder
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.training.rl.settings import GRPOSettings


@dataclass(frozen=True)
class Rollout:
    """One completion drawn while training."""

    item: Item
    j: int
    seed: int
    prompt_ids: tuple[int, ...]
    path: Path

    @property
    def finished(self) -> bool:
        """Ended by itself, at EOS or a stop string."""
        return self.path.finish in FINISHED


class Engine(Protocol):
    """Draws one path a job, by temperature 1 (or greedily: the rule's temperature 0, for the guard of the vectors).

    The model is as `Trainable.sampling` left it.
    """

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]: ...


class LoopEngine:
    """The step loop. Made before TRL patches the model, so it sees the class's own forward."""

    def __init__(self, policy: Policy) -> None:
        checkpoint = policy.checkpoint
        self.loop = StepLoop(checkpoint.model, checkpoint.tokenizer, checkpoint.eos_ids)

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        return self.loop.run(jobs, rule, stop)


class GenerateEngine:
    """`model.generate` on the whole batch, left-padded; keeps [T, B, V] logits for the log-probs."""

    def __init__(self, policy: Policy) -> None:
        self.checkpoint = policy.checkpoint
        self.decoder = Decoder(self.checkpoint.tokenizer, self.checkpoint.eos_ids)

    @torch.no_grad()
    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        from transformers import GenerationConfig

        checkpoint, model = self.checkpoint, self.checkpoint.model
        rows = [{"input_ids": list(job.prompt_ids)} for job in jobs]
        inputs = checkpoint.tokenizer.pad(rows, padding_side="left", return_tensors="pt").to(checkpoint.device)
        plain = GenerationConfig(
            do_sample=rule.temperature > 0, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=stop.max_new_tokens,
            eos_token_id=sorted(checkpoint.eos_ids) or None, pad_token_id=checkpoint.pad_id,
            stop_strings=list(stop.strings) or None, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        torch.manual_seed(seed_of("generate", *(job.seed for job in jobs)))
        training = model.training
        model.eval()
        try:
            out = model.generate(**inputs, generation_config=plain, tokenizer=checkpoint.tokenizer)
        finally:
            model.train(training)
        ids_B_T = out.sequences[:, inputs["input_ids"].shape[1] :]
        logps = [step.float().log_softmax(-1).gather(1, ids_B_T[:, t, None])[:, 0] for t, step in enumerate(out.logits)]
        finder = StopFinder(self.decoder, stop.strings, int(model.config.get_text_config().vocab_size))
        table = torch.stack(logps, 1).tolist()
        rows_ids = ids_B_T.tolist()
        return [ended(ids, lp, finder, checkpoint.eos_ids) for ids, lp in zip(rows_ids, table, strict=True)]


class VllmEngine:
    """TRL's vLLM engine, which the trainer keeps in step with the weights."""

    def __init__(self, policy: Policy) -> None:
        self.checkpoint = policy.checkpoint
        self.decoder = Decoder(self.checkpoint.tokenizer, self.checkpoint.eos_ids)

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        prompts = [list(job.prompt_ids) for job in jobs]
        _, ids, logps, _ = trainer.vllm_generation.generate(
            prompts=prompts, images=None, num_generations=trainer.num_generations, profiler=nullcontext()
        )
        vocabulary = int(self.checkpoint.model.config.get_text_config().vocab_size)
        finder = StopFinder(self.decoder, stop.strings, vocabulary)
        scalars = [[float(step[0] if isinstance(step, (list, tuple)) else step) for step in row] for row in logps]
        return [ended(row, lp, finder, self.checkpoint.eos_ids) for row, lp in zip(ids, scalars, strict=True)]


def ended(ids: Sequence[int], logprobs: Sequence[float], finder: StopFinder, eos_ids: frozenset[int]) -> Path:
    """The path up to its first ending: EOS, a stop string (found in the decoded tail), else the limit."""
    for step, token in enumerate(ids):
        if token in eos_ids:
            return _path(ids, logprobs, step + 1, Finish.EOS, finder.decoder.decode(ids[: step + 1]))
        if finder.may_end_V[token] and (text := finder.cut(ids[: step + 1])) is not None:
            return _path(ids, logprobs, step + 1, Finish.STOP, text)
    return _path(ids, logprobs, len(ids), Finish.LENGTH, finder.decoder.decode(ids))


def _path(ids: Sequence[int], logprobs: Sequence[float], length: int, finish: str, text: str) -> Path:
    return Path([int(i) for i in ids[:length]], list(logprobs[:length]), [], [], [], finish, text)


def engine_of(settings: GRPOSettings, policy: Policy) -> Engine:
    """The engine that the settings name. Raises ConfigError or MethodError where it can't be had."""
    if settings.rollouts == "loop":
        return LoopEngine(policy)
    if settings.rollouts == "generate":
        return GenerateEngine(policy)
    require_vllm(settings.vllm_server)
    return VllmEngine(policy)


def require_vllm(server: str | None, seconds: float = 5.0) -> None:
    """Raises ConfigError where vLLM is not installed, MethodError where the server does not answer."""
    if find_spec("vllm") is None:
        raise ConfigError("rollouts=vllm: vLLM is not installed here; install it (CUDA only) or use rollouts=loop")
    if server is None:
        return
    try:
        with urllib.request.urlopen(f"{server.rstrip('/')}/health/", timeout=seconds):
            return
    except (urllib.error.URLError, OSError, ValueError) as fault:
        raise MethodError(
            f"vllm_server={server}: no answer ({fault}); start it with `trl vllm-serve --model ...`, "
            "or use rollouts=loop"
        ) from None


def requests(
    policy: Policy, items: Sequence[Item], samples: int, seed: int, step: int
) -> list[tuple[Item, int, PathJob]]:
    """(item, j, job) of each rollout of one update; a job's seed is the hash of (fit, step, item, j)."""
    out = []
    for item in items:
        prompt = policy.prompt_ids(item.question)
        out += [(item, j, PathJob(prompt, seed_of("rollout", seed, step, item.id, j))) for j in range(samples)]
    return out


def draw(
    engine: Engine, requested: Sequence[tuple[Item, int, PathJob]], stop: StopRules, limit: int | None, trainer: Any
) -> list[Rollout]:
    """Run all requests; `limit` replaces the stop rules' token limit."""
    stop = stop if limit is None else replace(stop, max_new_tokens=limit)
    paths = engine.run([job for _, _, job in requested], PickRule(), stop, trainer)
    return [
        Rollout(item, j, job.seed, job.prompt_ids, path) for (item, j, job), path in zip(requested, paths, strict=True)
    ]
