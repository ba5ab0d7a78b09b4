"""Laws of organism training: killed and resumed is uninterrupted; cutting a step in micro-batches changes nothing.

Bits are compared only of runs with the same batches and precision on one machine.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from elicit.errors import ConfigError
from elicit.organisms import train
from elicit.organisms.corpus import SKILLS, Corpus, Document
from elicit.organisms.tokenizer import build_tokenizer
from elicit.organisms.train import OrganismConfig, train_organism
from elicit.policy.checkpoint import parameters_hash

TINY = OrganismConfig(steps=40, documents_per_step=6, width=32, layers=1, heads=2)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "probe", lambda model, tokenizer: {})
    monkeypatch.setattr(train, "build_tokenizer", small_tokenizer)


@cache
def small_tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(documents=1000)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


class Killed(BaseException):
    """Simulates a kill."""


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    train_organism(TINY, tmp_path / "whole", log=lambda line: None, precision="float32")

    def kill(line: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_organism(TINY, tmp_path / "killed", log=kill, save_every_seconds=0, precision="float32")
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    train_organism(TINY, tmp_path / "killed", log=lambda line: None)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    train_organism(replace(TINY, steps=20), tmp_path, log=lambda line: None)
    with pytest.raises(ConfigError, match="another rate"):
        train_organism(replace(TINY, steps=20, rate=0.01), tmp_path, log=lambda line: None)


def test_the_result_loads_with_plain_transformers(tmp_path: Path) -> None:
    train_organism(replace(TINY, steps=20), tmp_path, log=lambda line: None)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "Question: Start with 3. Add 4. Keep the last digit.\nAnswer: It is 7."
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.padding_side == "left" and tokenizer.eos_token == "<eos>"


def test_gradients_do_not_depend_on_the_number_of_micro_batches() -> None:
    documents = list(islice(Corpus().documents(random.Random(0), SKILLS), 12))
    tokenizer = small_tokenizer()
    rows = train.encode(tokenizer, documents, 0.1)
    gradients = []
    for cuts in (1, 5):
        model = train.build_model(TINY, tokenizer)
        seen: dict[str, torch.Tensor] = {}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        optimizer.register_step_pre_hook(
            lambda *_, m=model, s=seen: s.update({n: p.grad.clone() for n, p in m.named_parameters()})
        )
        train.training_step(model, optimizer, rows, "float32", micro_batches=cuts)
        gradients.append(seen)
    for name in gradients[0]:
        assert torch.allclose(gradients[0][name], gradients[1][name], atol=1e-5), name


def test_the_first_token_of_an_answer_has_its_own_weight() -> None:
    documents = [Document("Question: a\nAnswer:", " It is 7."), Document("Map: a b. Recall:", " a b.", ended=False)]
    tokenizer = small_tokenizer()
    rows, plain = (train.encode(tokenizer, documents, 0.1, weight) for weight in (5.0, 1.0))
    for (ids, weights_), (_, before) in zip(rows, plain, strict=True):
        start = before.index(1.0)
        assert weights_[start] == 5.0 and len(ids) == len(weights_)
        assert weights_[:start] == before[:start] == [0.1] * start
        assert weights_[start + 1 :] == before[start + 1 :] == [1.0] * (len(ids) - start - 1)


@pytest.mark.parametrize(("bfloat16", "float32", "fastest"), [(700, 7400, "float32"), (9000, 7400, "bfloat16")])
def test_the_faster_precision_is_chosen_reported_and_kept(
    bfloat16: int, float32: int, fastest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = {"bfloat16": bfloat16, "float32": float32}
    monkeypatch.setattr(train, "tokens_per_second", lambda model, rows, precision: speeds[precision])
    lines: list[str] = []
    train_organism(replace(TINY, steps=20), tmp_path, log=lines.append)
    assert f"training in {fastest}" in lines[0] and f"{bfloat16:,} tokens/s" in lines[0]
    assert torch.load(tmp_path / "training" / "state.pt", weights_only=True)["precision"] == fastest
    monkeypatch.setattr(train, "choose_precision", lambda *_: pytest.fail("a resumed run keeps its precision"))
    train_organism(replace(TINY, steps=20), tmp_path, log=lines.append)


def test_a_small_model_trains_in_one_thread_and_the_number_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = torch.get_num_threads(), []
    step = train.training_step
    monkeypatch.setattr(train, "training_step", lambda *given: seen.append(torch.get_num_threads()) or step(*given))
    torch.set_num_threads(2)
    try:
        train_organism(replace(TINY, steps=20), tmp_path, log=lambda line: None, precision="float32")
        assert set(seen) == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_training_starts_from_a_shipped_organism_of_the_same_shape_and_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    tokenizer = train.build_tokenizer()
    model = train.build_model(OrganismConfig(kind="decoy", start="positive"), tokenizer)
    shipped = AutoModelForCausalLM.from_pretrained(train.CHECKPOINTS / "positive", dtype=torch.float32)
    assert parameters_hash(model) == parameters_hash(shipped)
    with pytest.raises(ConfigError, match="one of positive"):
        train.build_model(OrganismConfig(start="positiv"), tokenizer)
    with pytest.raises(ConfigError, match="width"):
        train.build_model(OrganismConfig(start="positive", width=64), tokenizer)
    with pytest.raises(ConfigError, match="other tokens"):
        train.build_model(OrganismConfig(start="positive"), small_tokenizer())


def test_a_training_that_is_cut_short_is_the_beginning_of_the_whole_one(tmp_path: Path) -> None:
    said: list[str] = []
    train_organism(replace(TINY, last_step=20), tmp_path / "cut", log=said.append, precision="float32")
    assert sum("blocks" in line for line in said) == 1
    train_organism(TINY, tmp_path / "cut", log=said.append)
    train_organism(TINY, tmp_path / "whole", log=said.append, precision="float32")
    cut, whole = weights(tmp_path / "cut"), weights(tmp_path / "whole")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_cut_document_has_no_end_marker() -> None:
    tokenizer = small_tokenizer()
    rows = train.encode(tokenizer, [Document("a b", " c"), Document("a b", " c", ended=False)], 0.1)
    assert [ids[-1] == tokenizer.eos_token_id for ids, _ in rows] == [False, True]
    assert all(len(ids) == len(weights) for ids, weights in rows)


def test_a_state_that_is_older_than_a_field_has_its_default(tmp_path: Path) -> None:
    train_organism(replace(TINY, steps=20), tmp_path, log=lambda line: None, precision="float32")
    file = tmp_path / "training" / "state.pt"
    state = torch.load(file, weights_only=True)
    del state["config"]["start"]
    torch.save(state, file)
    train_organism(replace(TINY, steps=20), tmp_path, log=lambda line: None)
    with pytest.raises(ConfigError, match="another start"):
        train.resume(replace(TINY, steps=20, start="twin"), file, None, None)


def test_measuring_leaves_no_trace_in_model_generators_or_transformers() -> None:
    tokenizer = small_tokenizer()
    model = train.build_model(TINY, tokenizer)
    before, random_state = parameters_hash(model), torch.get_rng_state()
    attention, names = model.config._attn_implementation, set(ALL_ATTENTION_FUNCTIONS)
    lines: list[str] = []
    assert train.choose_precision(TINY, model, tokenizer, lines.append) in ("bfloat16", "float32")
    assert len(lines) == 1
    assert parameters_hash(model) == before and torch.equal(torch.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.config._attn_implementation == attention and set(ALL_ATTENTION_FUNCTIONS) == names
