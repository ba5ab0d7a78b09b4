"""Laws of policies: one order, at most one strategy, an id of content, folders that can be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from elicit.errors import CheckpointError, ConfigError, DataError
from elicit.files import read_json, write_json
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import Checkpoint, wrap
from elicit.policy.decoding import PickRule, Sampling
from elicit.policy.intervention import save
from elicit.policy.policy import Policy, load_intervention
from elicit.policy.weights import WeightEdit
from elicit.tasks.task import PromptFormat
from tests.policy.tiny import hook_count, random_ids, random_vector, tiny_model, tiny_tokenizer

WEIGHTS = WeightEdit({"model.norm.weight": torch.ones(16)})
VECTOR = ActivationEdit((Edit(0, random_vector(), write="every"),))
GREEDY = Sampling(PickRule(temperature=0.0))


@pytest.fixture
def checkpoint() -> Checkpoint:
    return wrap(tiny_model(), tiny_tokenizer())


def test_interventions_are_stacked_in_one_order(checkpoint: Checkpoint) -> None:
    stacked = Policy(checkpoint).with_intervention(GREEDY).with_intervention(VECTOR).with_intervention(WEIGHTS)
    assert stacked.interventions == (WEIGHTS, VECTOR, GREEDY)
    assert stacked.strategy is GREEDY
    assert Policy(checkpoint).strategy is None
    with pytest.raises(ConfigError, match="order"):
        Policy(checkpoint, (VECTOR, WEIGHTS))


def test_a_second_strategy_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="at most one"):
        Policy(checkpoint, (GREEDY,)).with_intervention(Sampling())


def test_the_id_changes_with_each_part_and_with_nothing_else(checkpoint: Checkpoint) -> None:
    base = Policy(checkpoint)
    parts = [
        base,
        base.with_intervention(VECTOR),
        base.with_intervention(GREEDY),
        base.with_prompt(PromptFormat("other", "Q: {question}\nA:")),
        Policy(wrap(tiny_model(seed=1), tiny_tokenizer())),
    ]
    assert len({policy.id for policy in parts}) == len(parts)
    assert Policy(wrap(tiny_model(), tiny_tokenizer())).id == base.id


def test_prompt_ids_are_those_of_the_rendered_text(checkpoint: Checkpoint) -> None:
    ids = Policy(checkpoint).prompt_ids("2 + 3")
    assert list(ids) == checkpoint.encode("Question: 2 + 3\nAnswer:")


def test_applied_undoes_all_of_a_stack_when_its_last_part_fails(checkpoint: Checkpoint) -> None:
    ids, too_wide = random_ids(1, 3), ActivationEdit((Edit(1, torch.ones(24)),))
    base = checkpoint.model(input_ids=ids).logits
    with pytest.raises(CheckpointError), Policy(checkpoint, (WEIGHTS, VECTOR, too_wide)).applied():
        pass
    assert hook_count(checkpoint.model) == 0
    assert torch.equal(checkpoint.model(input_ids=ids).logits, base)


def test_a_strategy_comes_back_from_its_folder(tmp_path: Path) -> None:
    strategy = Sampling(PickRule(temperature=0.25, top_k=7))
    save(strategy, tmp_path)
    assert load_intervention(tmp_path) == strategy


@pytest.mark.parametrize(
    ("name", "fault"),
    [("os.system", "classes of elicit"), ("elicit.policy.decoding.Samplign", "no such dataclass; did you mean"),
     ("elicit.nowhere.X", "No module named"),
     ("elicit.policy.decoding.PickRule", "not a decoding strategy")],
)  # fmt: skip
def test_only_strategy_classes_of_allowed_packages_are_loaded(tmp_path: Path, name: str, fault: str) -> None:
    write_json(tmp_path / "spec.json", {"kind": "decoding", "id": "x", "fields": {"strategy": name}})
    with pytest.raises(ConfigError, match=fault):
        load_intervention(tmp_path)


def test_a_saved_strategy_keeps_its_numbers_and_with_them_its_id(tmp_path: Path) -> None:
    """From Python a whole number may fill a float field; it hashes as an int, so it has to come back as one."""
    strategy = Sampling(PickRule(temperature=1, min_p=0))
    save(strategy, tmp_path)
    assert load_intervention(tmp_path).id == strategy.id


@pytest.mark.parametrize(
    ("fields", "fault"), [({"rules": {}}, "rules: Sampling has no such"), ({"rule": {"top_k": "7"}}, "expected int")]
)
def test_fields_that_the_class_does_not_take_are_refused(tmp_path: Path, fields: dict, fault: str) -> None:
    spec = {"kind": "decoding", "id": "x", "fields": {"strategy": "elicit.policy.decoding.Sampling", **fields}}
    write_json(tmp_path / "spec.json", spec)
    with pytest.raises(DataError, match=f"{fault}.*another version"):
        load_intervention(tmp_path)


def test_an_altered_folder_is_refused(tmp_path: Path) -> None:
    save(VECTOR, tmp_path)
    spec = read_json(tmp_path / "spec.json")
    spec["fields"]["edits"][0]["strength"] = 2.0
    write_json(tmp_path / "spec.json", spec)
    with pytest.raises(DataError, match="altered"):
        load_intervention(tmp_path)


def test_a_half_written_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"spec\.json"):
        load_intervention(tmp_path)
    save(VECTOR, tmp_path)
    whole = (tmp_path / "tensors.safetensors").read_bytes()
    (tmp_path / "tensors.safetensors").write_bytes(whole[:-8])
    with pytest.raises(DataError, match="half-written"):
        load_intervention(tmp_path)
    (tmp_path / "tensors.safetensors").unlink()
    with pytest.raises(DataError, match="no such file"):
        load_intervention(tmp_path)


@pytest.mark.parametrize("edit", [WeightEdit({}), ActivationEdit(())], ids=["weights", "activations"])
def test_an_edit_that_changes_nothing_is_saved_and_loaded(edit: WeightEdit | ActivationEdit, tmp_path: Path) -> None:
    save(edit, tmp_path)
    assert load_intervention(tmp_path).id == edit.id
    (tmp_path / "tensors.safetensors").unlink()
    with pytest.raises(DataError, match="no such file"):
        load_intervention(tmp_path)


def test_a_loaded_edit_of_another_width_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save(ActivationEdit((Edit(0, torch.ones(24)),)), tmp_path)
    with pytest.raises(CheckpointError, match=r"24 wide.*16"):
        load_intervention(tmp_path, checkpoint)


TURNS = (
    "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}<eos>{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
)


def test_a_chat_is_rendered_by_the_template_of_the_tokenizer_and_ends_with_its_turn() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TURNS
    checkpoint = wrap(tiny_model(), tokenizer)
    checkpoint.eos_ids = frozenset({7})
    chat = Policy(checkpoint, prompt=PromptFormat("chat", "{question}", chat=True))
    assert chat.prompt_ids("1 + 1?") == tuple(tokenizer("u:1 + 1?<eos>a:", add_special_tokens=False)["input_ids"])
    assert chat.end_ids == {7, tokenizer.eos_token_id}
    bare = Policy(checkpoint)
    assert bare.end_ids == {7} and bare.id != chat.id


def test_a_chat_without_a_template_is_refused_by_name() -> None:
    chat = Policy(wrap(tiny_model(), tiny_tokenizer()), prompt=PromptFormat("chat", "{question}", chat=True))
    with pytest.raises(CheckpointError, match="no chat template"):
        chat.prompt_ids("1 + 1?")
