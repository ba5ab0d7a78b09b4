"""Laws of the oneDNN products: the same function and the same gradients as torch, on the same model."""

from __future__ import annotations

import copy

import pytest
import torch

from elicit.errors import CheckpointError
from elicit.policy import products
from elicit.policy.products import Linear, fast_products, packed_weights, torch_products

pytestmark = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")),
    reason="this torch is built without oneDNN",
)
ROUNDING = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(autouse=True)
def _on_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "faster_here", lambda: True)


def net(bias: bool = True) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(160, 96, bias=bias), torch.nn.SiLU(), torch.nn.Linear(96, 64, bias=bias))


def inputs(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(200, 160), (4, 50, 160), (3, 160)])
def test_outputs_and_every_gradient_equal_those_of_float64(shape: tuple[int, ...], bias: bool) -> None:
    ours, exact = net(bias), net(bias).double()
    assert fast_products(ours)
    x, x64 = inputs(*shape).requires_grad_(), inputs(*shape).double().requires_grad_()
    weights = inputs(*shape[:-1], 64)
    out, out64 = ours(x), exact(x64)
    (out * weights).sum().backward()
    (out64 * weights.double()).sum().backward()
    torch.testing.assert_close(out, out64.float(), **ROUNDING)
    torch.testing.assert_close(x.grad, x64.grad.float(), **ROUNDING)
    for mine, theirs in zip(ours.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad.float(), **ROUNDING)


def test_strided_inputs_are_read_by_their_strides() -> None:
    ours, plain = net(), net()
    fast_products(ours)
    x = inputs(160, 400).t()[::2]
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x), **ROUNDING)


def test_frozen_weights_get_no_gradient_and_pass_it_on() -> None:
    ours = net().requires_grad_(False)
    fast_products(ours)
    x = inputs(200, 160).requires_grad_()
    ours(x).sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_the_large_products_run_in_onednn_and_the_small_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    own = products.product

    def counted(x: torch.Tensor, *others: torch.Tensor | None) -> torch.Tensor:
        asked.append(len(x))
        return own(x, *others)

    monkeypatch.setattr(products, "product", counted)
    model = net()
    fast_products(model)
    with torch.no_grad():
        model(inputs(2, 160))
        assert asked == []
        model(inputs(200, 160))
    assert asked == [200, 200]


@pytest.mark.parametrize("kind", ["autocast", "float64", "bfloat16"])
def test_other_precisions_are_left_to_torch(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> torch.Tensor:
        raise AssertionError("oneDNN was asked")

    model, x = net(), inputs(200, 160)
    fast_products(model)
    monkeypatch.setattr(products, "product", refused)
    dtype = torch.float64 if kind == "float64" else torch.bfloat16
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
        out = model(x) if kind == "autocast" else model.to(dtype)(x.to(dtype))
    assert out.dtype == dtype


def test_hooks_copies_and_weights_changed_in_place_act_as_on_torchs_layer() -> None:
    model, x = net(), inputs(200, 160)
    seen: list[torch.Size] = []
    model[0].register_forward_hook(lambda _module, _inputs, out: seen.append(out.shape))
    fast_products(model)
    with torch.no_grad():
        before = model(x)
        twin = copy.deepcopy(model)
        twin[2].weight.data.mul_(2)
        twin[2].bias.data.mul_(2)
        torch.testing.assert_close(twin(x), 2 * before)
        torch.testing.assert_close(model(x), before)
    assert seen[0] == (200, 96)
    assert model.state_dict().keys() == net().state_dict().keys()


def test_torch_products_give_the_layers_back_for_a_while_only() -> None:
    model = net()
    fast_products(model)
    with pytest.raises(KeyError), torch_products(model):
        assert [type(layer) for layer in model][::2] == [torch.nn.Linear] * 2
        raise KeyError
    assert [type(layer) for layer in model][::2] == [Linear] * 2


def test_a_row_does_not_depend_on_the_others() -> None:
    model, x = net(), inputs(300, 160)
    fast_products(model)
    with torch.no_grad():
        torch.testing.assert_close(model(x)[:100], model(x[:100]), **ROUNDING)


def test_torch_is_kept_where_it_was_asked_for_and_where_onednn_is_not_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    assert not fast_products(model, "torch")
    assert not fast_products(net().double())
    monkeypatch.setattr(products, "faster_here", lambda: False)
    assert not fast_products(model)
    assert type(model[0]) is torch.nn.Linear
    with pytest.raises(CheckpointError, match=r"model.products='mkl'.*torch"):
        fast_products(model, "mkl")


@pytest.mark.parametrize(
    ("vendor", "capability", "faster"),
    [("AuthenticAMD", "AVX512", True), ("AuthenticAMD", "AVX2", False), ("GenuineIntel", "AVX512", False)],
)
def test_only_the_processor_decides(
    vendor: str, capability: str, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(products, "processor_says", lambda field: {"vendor_id": vendor}[field])
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert products.faster_here() is faster


def test_packed_weights_give_the_same_outputs_and_are_gone_afterwards() -> None:
    model, x = net(), inputs(16, 160).repeat(4, 1)
    fast_products(model)
    with torch.no_grad():
        before = model(x)
        with pytest.raises(KeyError), packed_weights(model, 16):
            assert "packed" not in model[2].__dict__, "16 x 96 x 64 is a small product"
            torch.testing.assert_close(model(x), before)
            raise KeyError
        model[0].weight.data.mul_(2)
        assert not torch.allclose(model(x), before)
    assert all("packed" not in layer.__dict__ for layer in model)


def test_only_few_rows_and_small_models_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(512, 512))
    fast_products(model)
    with packed_weights(model, 8):
        assert model[0].__dict__["packed"].shape == (512, 512)
        assert model.state_dict().keys() == {"0.weight", "0.bias"}
    for rows in (0, 1, 17):
        with packed_weights(model, rows):
            assert "packed" not in model[0].__dict__
    monkeypatch.setattr(products, "MOST_PACKED_BYTES", 2**20 - 1)
    with packed_weights(model, 8):
        assert "packed" not in model[0].__dict__
