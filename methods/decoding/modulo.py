"""Generate-test (LLM-Modulo, arXiv 2402.01817): propose, ask a sound verifier, say what it found, propose again.

    x_r ~ p(. | prompt_r), r = 1..R;   stop at the first x_r that the verifier accepts
    prompt_{r+1} = prompt + x_r + feedback(finding)            finding: the first violation of the trace, where known

The verifier is the task's own grader, asked at inference: class L, booked in the ledger, and no claim about what is
latent. With `back_prompt=false` nothing is said and R fresh samples are drawn: that is oracle best-of-R, pass@R by its
right name, and a rival here; what feedback adds is the difference to it. Only the last proposal is shown, which bounds
the prompt (the published loop keeps all). One verifier call a proposal: as many as there are chains.
Cost: all proposals; the prompt with proposal and finding, which is read anew, counts as auxiliary forward tokens.
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
from methods.decoding.continuing import own_tokens
from methods.decoding.votes import own_rng

if TYPE_CHECKING:
    from elicit.tasks.task import Reader


@dataclass(frozen=True)
class Modulo(StrategyBase):
    """Up to R proposals, each behind the verifier's finding about the one before."""

    needs_verifier: ClassVar[bool] = True

    rounds: int = 4
    """R: most proposals, and verifier calls, an answer; published up to 15"""
    back_prompt: bool = True
    """false: the same prompt in every round (pass@R)"""
    feedback: str = "\nThat is wrong{finding}.\nAnswer:"
    """text behind a rejected proposal; `{finding}` becomes ": the first violation", or nothing where there is none"""
    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"{self.name}.rounds={self.rounds}: at least one proposal")
        if "{finding}" not in self.feedback:
            raise ConfigError(f"{self.name}.feedback={self.feedback!r}: it holds {{finding}} once")
        self.sampling_rule()

    def sampling_rule(self) -> PickRule:
        """The loop's rule. Raises ConfigError for values out of range."""
        return PickRule(temperature=self.temperature, top_p=self.top_p, min_p=self.min_p)

    def run(self, loop: Loop, requests: Sequence[Request], task: Reader) -> list[Outcome]:
        """Complete all requests, those that are not accepted yet as one run of the loop a round."""
        dialogues = [Dialogue(request, request.prompt_ids) for request in requests]
        for stream in range(self.rounds):
            going = [dialogue for dialogue in dialogues if not dialogue.accepted]
            jobs = [PathJob(dialogue.prompt_ids, dialogue.request.seed, stream=stream) for dialogue in going]
            for dialogue, path in zip(going, loop.run(jobs, self.sampling_rule(), task.stop), strict=True):
                verdict = self.verdict(dialogue.request, path, stream, task)
                dialogue.add(path, verdict)
                if self.back_prompt and not verdict.right and stream + 1 < self.rounds:
                    finding = f": {verdict.finding.rstrip('.')}" if verdict.finding else ""
                    said = loop.encode(self.feedback.replace("{finding}", finding))
                    dialogue.ask(own_tokens(loop, path, task.stop) + said)
        return [dialogue.outcome() for dialogue in dialogues]

    def verdict(self, request: Request, path: Path, stream: int, task: Reader) -> Judged:
        """What the task's verifier says."""
        return cast("Verifier", task).verdict(request.item, path.text, path.finish in FINISHED)

    def twins(self) -> dict[str, DecodingStrategy]:
        """Verdicts by a coin: the same rounds and the same words, without what the verifier knows."""
        return {"random_verdict": RandomVerdict(**vars(self))}

    def peers(self) -> dict[str, DecodingStrategy]:
        """Fresh samples until one is accepted: pass@R."""
        return {"resample": replace(self, back_prompt=False)} if self.back_prompt else {}


@dataclass(frozen=True)
class RandomVerdict(Modulo):
    """Placebo: accepts with chance one half, finds nothing, never asks the verifier."""

    needs_verifier: ClassVar[bool] = False

    def verdict(self, request: Request, path: Path, stream: int, task: Reader) -> Judged:
        return Judged(bool(own_rng(request.seed, f"random verdict {stream}").random() < 0.5))

    def twins(self) -> dict[str, DecodingStrategy]:
        return {}


@dataclass
class Dialogue:
    """The proposals for one request so far."""

    request: Request
    prompt_ids: tuple[int, ...]
    chains: list[Candidate] = field(default_factory=list)
    accepted: bool = False
    read: int = 0
    """tokens of the prompts behind the first"""

    def ask(self, behind: tuple[int, ...]) -> None:
        """The next prompt: the first one with this behind it."""
        self.prompt_ids = self.request.prompt_ids + behind
        self.read += len(self.prompt_ids)

    def add(self, path: Path, verdict: Judged) -> None:
        self.accepted = verdict.right
        self.chains.append(Candidate(path, {"accepted": float(verdict.right)}, float(verdict.right)))

    def outcome(self) -> Outcome:
        """The last proposal: the accepted one, where there is one."""
        tokens = sum(len(candidate.path.token_ids) for candidate in self.chains)
        return Outcome(self.chains[-1].path, self.chains, len(self.chains) - 1, tokens, self.read)
