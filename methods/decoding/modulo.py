"""Generate-test (LLM-Modulo, arXiv 2402.01817): propose, ask a sound verifier, show its finding, propose again.

    x_r ~ p(. | prompt_r), r = 1..R;   stop at the first x_r that the verifier accepts
    prompt_{r+1} = prompt + x_r + feedback(finding)            finding: the first violation of the trace, if known

The verifier is the task's own grader, asked at inference: class L, booked in the ledger, and no evidence of latent
ability. With `back_prompt=false` no feedback is given and R fresh samples are drawn. That is oracle best-of-R (pass@R)
and a rival here: the effect of feedback is the difference to it. Only the last proposal is shown, which bounds the
prompt (the published loop keeps all). One verifier call per proposal, so there are as many calls as chains.
Placebo `RandomVerdict`: verdicts by a coin.
Cost: all proposals; the prompt with proposal and finding is read again, which counts as auxiliary forward tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, cast

from elicit.errors import ConfigError
from elicit.policy.decoding import (
    Candidate,
    DecodingStrategy,
    Loop,
    Outcome,
    Path,
    PathJob,
    PickRule,
    Request,
    StrategyBase,
    Verifier,
)
from elicit.records import FINISHED
from elicit.tasks.view import Judged
from methods.decoding.chains import own_rng, own_tokens

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class Modulo(StrategyBase):
    """Up to R proposals, each after the verifier's finding about the previous one."""

    needs_verifier: ClassVar[bool] = True

    rounds: int = 4
    """R: most proposals, and verifier calls, per answer; published up to 15"""
    back_prompt: bool = True
    """false: the same prompt in every round (pass@R)"""
    feedback: str = "\nThat is wrong{finding}.\nAnswer:"
    """text after a rejected proposal; `{finding}` becomes ": the first violation", or nothing if there is none"""
    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"{self.name}.rounds={self.rounds}: at least one proposal")
        if "{finding}" not in self.feedback:
            raise ConfigError(f"{self.name}.feedback={self.feedback!r}: it holds {{finding}} once")
        self.sampling_rule()

    @property
    def verifier_calls(self) -> int:
        """One per proposal."""
        return self.rounds if self.needs_verifier else 0

    def sampling_rule(self) -> PickRule:
        """The loop's rule. Raises ConfigError for values out of range."""
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests; each round is one run of the loop over those that are not accepted yet."""
        dialogues = [Dialogue(request, request.prompt_ids) for request in requests]
        for stream in range(self.rounds):
            # 1) propose
            going = [dialogue for dialogue in dialogues if not dialogue.accepted]
            jobs = [PathJob(dialogue.prompt_ids, dialogue.request.seed, stream=stream) for dialogue in going]
            for dialogue, path in zip(going, loop.run(jobs, self.sampling_rule(), task.stop), strict=True):
                # 2) ask the verifier
                verdict = self.verdict(dialogue.request, path, stream, task)
                dialogue.add(path, verdict)
                # 3) show its finding in the next prompt
                if self.back_prompt and not verdict.right and stream + 1 < self.rounds:
                    finding = f": {verdict.finding.rstrip('.')}" if verdict.finding else ""
                    feedback = loop.encode(self.feedback.replace("{finding}", finding))
                    dialogue.ask(own_tokens(loop, path, task.stop) + feedback)
        return [dialogue.outcome() for dialogue in dialogues]

    def verdict(self, request: Request, path: Path, stream: int, task: Reader) -> Judged:
        """The judgement of the task's verifier."""
        return cast("Verifier", task).verdict(request.item, path.text, path.finish in FINISHED)

    def twins(self) -> dict[str, DecodingStrategy]:
        """Verdicts by a coin: the same rounds and the same words, without the verifier's information."""
        return {"random_verdict": RandomVerdict(**vars(self))}

    def peers(self) -> dict[str, DecodingStrategy]:
        """Fresh samples until one is accepted: pass@R."""
        return {"resample": replace(self, back_prompt=False)} if self.back_prompt else {}


@dataclass(frozen=True)
class RandomVerdict(Modulo):
    """Placebo: accepts with probability one half, without a finding; never asks the verifier."""

    needs_verifier: ClassVar[bool] = False

    def verdict(self, request: Request, path: Path, stream: int, task: Reader) -> Judged:
        return Judged(bool(own_rng(request.seed, f"random verdict {stream}").random() < 0.5))

    def twins(self) -> dict[str, DecodingStrategy]:
        """None: it is the placebo."""
        return {}


@dataclass
class Dialogue:
    """The proposals for one request so far."""

    request: Request
    prompt_ids: tuple[int, ...]
    chains: list[Candidate] = field(default_factory=list)
    accepted: bool = False
    read: int = 0
    """tokens of all prompts after the first"""

    def ask(self, proposal_and_feedback: tuple[int, ...]) -> None:
        """The next prompt: the first one, followed by these tokens."""
        self.prompt_ids = self.request.prompt_ids + proposal_and_feedback
        self.read += len(self.prompt_ids)

    def add(self, path: Path, verdict: Judged) -> None:
        self.accepted = verdict.right
        self.chains.append(Candidate(path, {"accepted": float(verdict.right)}, float(verdict.right)))

    def outcome(self) -> Outcome:
        """The last proposal: the accepted one, if there is one."""
        tokens = sum(len(candidate.path.token_ids) for candidate in self.chains)
        return Outcome(self.chains[-1].path, self.chains, len(self.chains) - 1, tokens, self.read)
