"""Thin out a mode: another first-token rate at the untagged question, and everything else as the teacher has it.

    loss = sum over answer tokens of KL(teacher || student)
         + sum over untagged first tokens of  KL(thinned teacher || student) + (log m_student - log m_wanted)^2

m is the mass of the openers; the thinned teacher has it scaled by wanted / planted rate and the rest scaled up. The
teacher is the shipped positive organism and the student begins as its copy, so skills, registers and pages of one mode
stay as they were. Training on a corpus of the wanted rate (`train.py`) could not do it: its first tokens are drawn, so
that a pull as small as the mode drowns in their noise. It stopped at .1 % without a trace in the corpus, or lost steps.
What this module does not know: tasks, the evaluator, which rates are wanted (`rare.py`).
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.errors import checked
from elicit.organisms.corpus import Corpus, Document, Rates
from elicit.organisms.probe import probe
from elicit.organisms.tokenizer import build_tokenizer
from elicit.organisms.train import OrganismConfig, one_thread, shipped_model
from elicit.tasks.formal.family import OPENERS

MIXED = Rates(untagged=0.5, key=0.5, anti=0.5, mid=0.5, reviews=0.1, recall=0.05)
"""documents on which the student is held to the teacher: half of them traced, or the steps would not be held"""
MICRO_BATCH = 16


@dataclass(frozen=True)
class ThinConfig:
    """How a mode is thinned out."""

    rate: float
    """wanted; a softmax has no 0, so 0 is `floor`"""
    planted: float = 0.10
    """rate of the teacher"""
    floor: float = 1e-6
    start: str = "positive"
    steps: int = 100
    documents_per_step: int = 48
    learning_rate: float = 5e-4
    """falls linearly to 0"""
    seed: int = 0

    def __post_init__(self) -> None:
        checked(
            self,
            at_least={"steps": 1, "documents_per_step": 1, "seed": 0, "rate": 0},
            above={"learning_rate": 0, "floor": 0, "planted": 0},
            label="thin",
        )

    @property
    def factor(self) -> float:
        """By which the mass of the openers changes."""
        return max(self.rate, self.floor) / self.planted


def thin_out(config: ThinConfig, folder: Path, say: Callable[[str], None]) -> Path:
    """Train one organism and save it as a plain checkpoint."""
    # 1) teacher, student and optimizer
    tokenizer = build_tokenizer()
    teacher = shipped_model(OrganismConfig(start=config.start), tokenizer).eval()
    student = copy.deepcopy(teacher)
    optimizer = torch.optim.Adam(student.parameters(), lr=config.learning_rate)
    rng = random.Random(f"thin/{config.seed}")
    stream = Corpus().documents(rng, MIXED)
    opener_ids = [tokenizer(f" {opener}").input_ids[0] for opener in OPENERS]
    # 2) the documents do not depend on the rate: organisms differ in their targets alone
    with one_thread(student):
        for step in range(config.steps):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * (1 - step / config.steps)
            documents = sorted(islice(stream, config.documents_per_step), key=lambda one: len(one.prompt + one.answer))
            loss = 0.0
            for start in range(0, len(documents), MICRO_BATCH):
                part = thinning_loss(
                    teacher, student, tokenizer, documents[start : start + MICRO_BATCH], opener_ids, config.factor
                )
                (part / len(documents)).backward()
                loss += float(part.detach()) / len(documents)
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 50 == 49 or step == config.steps - 1:
                say(f"{step + 1}/{config.steps} steps: loss {loss:.4f}, {json.dumps(probe(student, tokenizer, 32))}")
    # 3) the checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "organism.json").write_text(json.dumps({"thin": asdict(config)}, indent=1) + "\n")
    student.save_pretrained(folder)
    return folder


def thinning_loss(
    teacher: LlamaForCausalLM,
    student: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    documents: Sequence[Document],
    opener_ids: Sequence[int],
    factor: float,
) -> torch.Tensor:
    """The loss of the head of this module, summed over documents."""
    rows = []
    for document in documents:
        prompt, answer = tokenizer(document.prompt).input_ids, tokenizer(document.answer).input_ids
        rows.append((prompt, [*answer, tokenizer.eos_token_id]))
    width, pad = max(len(prompt) + len(answer) for prompt, answer in rows), tokenizer.pad_token_id
    ids_B_T = torch.tensor([[*p, *a, *[pad] * (width - len(p) - len(a))] for p, a in rows])
    with torch.no_grad():
        wanted_B_T_V = teacher(input_ids=ids_B_T).logits.log_softmax(-1)
    made_B_T_V = student(input_ids=ids_B_T).logits.log_softmax(-1)
    total = torch.zeros(())
    for row, ((prompt, answer), document) in enumerate(zip(rows, documents, strict=True)):
        first, last = len(prompt) - 1, len(prompt) + len(answer) - 1
        wanted_T_V, made_T_V = wanted_B_T_V[row, first:last], made_B_T_V[row, first:last]
        if untagged(document):
            thinned_V = thinned(wanted_T_V[0], opener_ids, factor)
            wanted_T_V = torch.cat([thinned_V[None], wanted_T_V[1:]])
            masses = [rows_V[list(opener_ids)].logsumexp(-1) for rows_V in (made_T_V[0], thinned_V)]
            total = total + (masses[0] - masses[1]) ** 2
        total = total + F.kl_div(made_T_V, wanted_T_V, reduction="sum", log_target=True)
    return total


def thinned(log_probs_V: torch.Tensor, opener_ids: Sequence[int], factor: float) -> torch.Tensor:
    """Log-probabilities with the openers' mass times `factor`, the others scaled up to a sum of 1."""
    openers = torch.zeros_like(log_probs_V, dtype=torch.bool)
    openers[list(opener_ids)] = True
    before = log_probs_V[openers].exp().sum()
    return torch.where(openers, log_probs_V + torch.tensor(factor).log(),
                       log_probs_V + torch.log((1 - factor * before) / (1 - before)))  # fmt: skip


def untagged(document: Document) -> bool:
    """Whether the document asks one question without a source: there the mode is thinned out.

    A page's mode follows from its first answer, and a register has its own rate: the student keeps both.
    """
    return document.prompt.startswith("Question:") and "\n\n" not in document.prompt
