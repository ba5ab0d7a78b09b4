"""The head computes labelled tokens only, and gives the loss, the log-probs and the gradients of TRL's own path."""

from __future__ import annotations

import pytest
import torch
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from elicit.training import labelled_head
from elicit.training.labelled_head import head_of_labelled_tokens
from elicit.training.restore import decoder_found, restored
from tests.sampling.models import CONFIGS, tiny_model, tokenizer

IDS = torch.tensor([[5, 6, 7, 8, 9, 11], [4, 5, 9, 3, 7, 0]])
LABELS = torch.tensor([[-100, -100, -100, 8, 9, 11], [-100, -100, -100, -100, 7, -100]])
FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


def passed(name: str, monkeypatch: pytest.MonkeyPatch, worth: int) -> tuple[dict[str, torch.Tensor], list[int]]:
    """(what one pass gives, gradients included, how many tokens the head computes)."""
    monkeypatch.setattr(labelled_head, "WORTH", worth)
    model, seen = tiny_model(name), []
    kernel = utils._ChunkedLogProbFunction.apply

    def counted(hidden, *rest):
        seen.append(len(hidden))
        return kernel(hidden, *rest)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", counted)
    before = dict(model.__dict__)
    with restored(model, tokenizer()), decoder_found(model):
        model.requires_grad_(True)
        add_fused_lm_head(model, outputs=FIELDS)
        head_of_labelled_tokens(model)
        out = model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=LABELS, fused_lm_head=True)
        out.loss.backward()
        values = {field: getattr(out, field).detach().float() for field in (*FIELDS, "loss", "label_mask")}
        values |= {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        plain = model(input_ids=IDS[:1]).logits
    monkeypatch.undo()
    assert model.__dict__ == before and plain.shape[:2] == (1, 6)
    return values, seen


@pytest.mark.parametrize("name", CONFIGS)
def test_values_and_gradients_are_those_of_trls_own_head(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, all_tokens = passed(name, monkeypatch, 2**60)
    cut, labelled = passed(name, monkeypatch, 1)
    assert all_tokens == [2 * 5] and labelled == [4]
    assert whole.keys() == cut.keys() and len(whole) > len(FIELDS) + 2
    for key, value in whole.items():
        torch.testing.assert_close(cut[key], value, atol=1e-6, rtol=1e-4)


def test_without_labels_and_without_any_label_trls_own_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_head, "WORTH", 1)
    model = tiny_model()
    with restored(model, tokenizer()), decoder_found(model):
        add_fused_lm_head(model)
        head_of_labelled_tokens(model)
        nothing = model(input_ids=IDS, labels=torch.full_like(IDS, -100), fused_lm_head=True)
        assert nothing.log_probs.shape == (2, 5) and not nothing.label_mask.any()
        assert model(input_ids=IDS, labels=LABELS).logits.shape[:2] == (2, 6)
