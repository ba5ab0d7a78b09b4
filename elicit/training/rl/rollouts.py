"""Rollouts of the policy that is being trained, and the engines that draw them.

    loop       our step loop: hooks know each position, a rollout's draw depends only on its own key
    generate   transformers' generate, as a fallback
    vllm       vLLM in this process, under our keys (colocated.py); with `vllm_server` a server of TRL, weights only

All draw at temperature 1 without truncation of the distribution, and end at EOS, at a stop string of the task or at
the token limit. What this module does not know: rewards, gradients.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
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
    from elicit.training.trainable import Trainable

PROBE_TOKENS = 8
"""greedy tokens by which the guard of the vectors compares two models"""


@dataclass(frozen=True)
class Rollout:
    """One completion drawn while training."""

    item: Item
    j: int
    """0 to G - 1 within the group of its item; the next copy of the item in the same update goes on from G"""
    seed: int
    """the hash of (fit, update, item, j)"""
    prompt_ids: tuple[int, ...]
    path: Path

    @property
    def finished(self) -> bool:
        """Whether it ended at EOS or a stop string, not at the token limit."""
        return self.path.finish in FINISHED


class Engine(Protocol):
    """Draws one path per job."""

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        """Paths in the order of `jobs`, with the model as `Trainable.sampling` left it.

        `rule`: temperature 1, or 0 (greedy) for the guard of the vectors. `trainer`: only a vLLM server needs it.
        """
        ...

    def close(self) -> None:
        """Undo what drawing has changed; called once the fit has detached its parameters."""
        ...


class LoopEngine:
    """The step loop. Constructed before TRL patches the model, so that it sees the class's own forward."""

    def __init__(self, policy: Policy) -> None:
        checkpoint = policy.checkpoint
        self.loop = StepLoop(checkpoint.model, checkpoint.tokenizer, checkpoint.eos_ids)

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        try:
            return self.loop.run(jobs, rule, stop)
        finally:
            self.loop.engine.reset()  # the backward pass that follows needs the memory of the keys and values

    def close(self) -> None:
        """Nothing was changed."""


class GenerateEngine:
    """`model.generate` on all jobs at once, left-padded; keeps [T, B, V] logits for the log-probs."""

    def __init__(self, policy: Policy) -> None:
        self.checkpoint = policy.checkpoint
        self.decoder = Decoder(self.checkpoint.tokenizer, self.checkpoint.eos_ids)

    @torch.no_grad()
    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        from transformers import GenerationConfig

        checkpoint, model = self.checkpoint, self.checkpoint.model
        prompts = [{"input_ids": list(job.prompt_ids)} for job in jobs]
        inputs = checkpoint.tokenizer.pad(prompts, padding_side="left", return_tensors="pt").to(checkpoint.device)
        config = GenerationConfig(
            do_sample=rule.temperature > 0, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=stop.max_new_tokens,
            eos_token_id=sorted(checkpoint.eos_ids) or None, pad_token_id=checkpoint.pad_id,
            stop_strings=list(stop.strings) or None, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
        torch.manual_seed(seed_of("generate", *(job.seed for job in jobs)))
        training = model.training
        model.eval()
        try:
            out = model.generate(**inputs, generation_config=config, tokenizer=checkpoint.tokenizer)
        finally:
            model.train(training)
        ids_B_T = out.sequences[:, inputs["input_ids"].shape[1] :]
        logps = [step.float().log_softmax(-1).gather(1, ids_B_T[:, t, None])[:, 0] for t, step in enumerate(out.logits)]
        finder = StopFinder(self.decoder, stop.strings, int(model.config.get_text_config().vocab_size))
        rows = zip(ids_B_T.tolist(), torch.stack(logps, 1).tolist(), strict=True)
        return [ended(ids, logprobs, finder, checkpoint.eos_ids) for ids, logprobs in rows]

    def close(self) -> None:
        """Nothing was changed."""


class ServerEngine:
    """A vLLM server of TRL; the trainer keeps its weights up to date."""

    def __init__(self, policy: Policy) -> None:
        self.checkpoint = policy.checkpoint
        self.decoder = Decoder(self.checkpoint.tokenizer, self.checkpoint.eos_ids)

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        _, ids, logps, _ = trainer.vllm_generation.generate(
            prompts=[list(job.prompt_ids) for job in jobs],
            images=None,
            num_generations=trainer.num_generations,
            profiler=nullcontext(),
        )
        vocabulary = int(self.checkpoint.model.config.get_text_config().vocab_size)
        finder = StopFinder(self.decoder, stop.strings, vocabulary)
        # vLLM returns a log-prob, or a list whose first entry belongs to the drawn token
        scalars = [[float(step[0] if isinstance(step, (list, tuple)) else step) for step in row] for row in logps]
        return [ended(row, lp, finder, self.checkpoint.eos_ids) for row, lp in zip(ids, scalars, strict=True)]

    def close(self) -> None:
        """The server is another process's."""


def ended(ids: Sequence[int], logprobs: Sequence[float], finder: StopFinder, eos_ids: frozenset[int]) -> Path:
    """The path up to its first end: EOS, a stop string (searched in the decoded tail), else the limit."""
    length, finish, text = len(ids), Finish.LENGTH, None
    for step, token in enumerate(ids):
        if token in eos_ids:
            length, finish = step + 1, Finish.EOS
            break
        if finder.may_end_V[token] and (text := finder.cut(ids[: step + 1])) is not None:
            length, finish = step + 1, Finish.STOP
            break
    kept = [int(token) for token in ids[:length]]
    return Path(
        kept, list(logprobs[:length]), [], [], [], finish, finder.decoder.decode(kept) if text is None else text
    )


def greedy_logprobs(engine: Engine, prompt_ids: tuple[int, ...], trainer: Any) -> list[float]:
    """Log-probs of the first tokens that the engine draws greedily after a prompt."""
    rule, stop = PickRule(temperature=0.0), StopRules((), PROBE_TOKENS)
    return list(engine.run([PathJob(prompt_ids, 0)], rule, stop, trainer)[0].logprobs)


def engine_of(settings: GRPOSettings, policy: Policy, trainable: Trainable) -> Engine:
    """The engine that the settings name. Raises ConfigError or MethodError if it is not available."""
    if settings.rollouts == "loop":
        return LoopEngine(policy)
    if settings.rollouts == "generate":
        return GenerateEngine(policy)
    require_vllm(settings.vllm_server)
    if settings.vllm_server:
        return ServerEngine(policy)
    from elicit.training.rl.colocated import colocated

    return colocated(policy, trainable)


def require_vllm(server: str | None, seconds: float = 5.0) -> None:
    """Raises ConfigError if vLLM is not installed, MethodError if the server does not answer in `seconds`."""
    if find_spec("vllm") is None:
        raise ConfigError("rollouts=vllm: vLLM is not installed here; make vllm, or use rollouts=loop")
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
