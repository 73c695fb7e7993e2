"""Recording attention: what is recorded, and that the model does not notice."""

import pytest
import torch
from _support import error_of, images, small_model
from torch import nn

from gcvit_edu.capture import capture_attention
from gcvit_edu.model import GCViT
from gcvit_edu.windows import window_merge, window_partition


@pytest.fixture
def model() -> GCViT:
    return small_model()


def attributes_of(model: nn.Module) -> list[tuple[str, ...]]:
    return [(name, *sorted(vars(module)), *module._forward_pre_hooks) for name, module in model.named_modules()]


def test_every_block_is_recorded_in_order(model: GCViT) -> None:
    with torch.no_grad(), capture_attention(model) as records:
        model(images(2, 64))
    assert [(record.stage, record.block) for record in records] == [
        (stage, block) for stage, depth in enumerate((3, 2, 3, 2)) for block in range(depth)
    ]
    assert [record.is_global for record in records] == [record.block % 2 == 1 for record in records]


@pytest.mark.parametrize(
    ("size", "grids", "map_sizes"),
    [
        ((64, 64), [(4, 4), (2, 2), (1, 1), (1, 1)], [(16, 16), (8, 8), (4, 4), (2, 2)]),
        ((33, 70), [(3, 5), (2, 3), (1, 2), (1, 2)], [(9, 18), (5, 9), (3, 5), (2, 3)]),
    ],
)
def test_shapes_grids_and_sums(
    model: GCViT, size: tuple[int, int], grids: list[tuple[int, int]], map_sizes: list[tuple[int, int]]
) -> None:
    with torch.no_grad(), capture_attention(model) as records:
        model(images(2, *size))
    for record in records:
        stage = record.stage
        window, heads = model.config.window_sizes[stage], model.config.num_heads[stage]
        assert record.window == window
        assert record.grid == grids[stage]
        assert record.map_size == map_sizes[stage]
        windows = grids[stage][0] * grids[stage][1]
        assert record.weights.shape == (2, windows, heads, window**2, window**2)
        torch.testing.assert_close(record.weights.sum(-1), torch.ones(record.weights.shape[:-1]))
        # Padded keys, as the grid and the map size tell them, have no weight.
        rows, columns = grids[stage][0] * window, grids[stage][1] * window
        real = torch.zeros(1, rows, columns, 1)
        real[:, : map_sizes[stage][0], : map_sizes[stage][1]] = 1
        seen = record.weights.amax((0, 2, 3)) > 0
        assert torch.equal(seen, window_partition(real, window).squeeze(-1).bool())


def test_the_weights_are_those_that_were_used(model: GCViT) -> None:
    attn = model.stages[0].blocks[1].attn
    kept = {}
    attn.register_forward_hook(lambda _, inputs, out: kept.update(x=inputs[0], out=out))
    with torch.no_grad(), capture_attention(model) as records:
        model(images(2, 64))
        x = kept["x"]
        _, v = attn.kv(window_partition(x, 4)).chunk(2, dim=-1)
        weights = records[1].weights[:, :, 0].flatten(0, 1)  # one head
        expected = window_merge(attn.proj(weights @ v), 4, 16, 16)
    torch.testing.assert_close(kept["out"], expected)


@pytest.mark.parametrize("size", [(64, 64), (33, 70)], ids=str)
def test_outputs_do_not_change(model: GCViT, size: tuple[int, int]) -> None:
    x = images(2, *size)
    with torch.no_grad():
        expected = model(x)
        with capture_attention(model):
            assert error_of(model(x), expected) < 1e-5
        assert torch.equal(model(x), expected)


def test_the_model_is_as_it_was(model: GCViT) -> None:
    before = attributes_of(model)
    with capture_attention(model):
        assert attributes_of(model) != before
    assert attributes_of(model) == before


def test_also_after_an_exception(model: GCViT) -> None:
    before = attributes_of(model)
    with pytest.raises(ValueError, match="too small"), capture_attention(model):
        model(images(1, 16))
    assert attributes_of(model) == before


def test_a_second_capture_of_the_same_model_is_refused(model: GCViT) -> None:
    before = attributes_of(model)
    with torch.no_grad(), capture_attention(model) as records:
        with pytest.raises(ValueError, match="captured already"), capture_attention(model):
            pass
        model(images(1, 64))
        assert len(records) == 10
    assert attributes_of(model) == before


def test_a_wrapper_is_refused(model: GCViT) -> None:
    with pytest.raises(ValueError, match="not of a DataParallel"), capture_attention(torch.nn.DataParallel(model)):
        pass


def test_each_pass_adds_its_records(model: GCViT) -> None:
    with torch.no_grad(), capture_attention(model) as records:
        model(images(1, 64))
        model(images(2, 33, 70))
    assert [record.map_size for record in records if (record.stage, record.block) == (0, 0)] == [(16, 16), (9, 18)]
    assert [len(record.weights) for record in records] == [1] * 10 + [2] * 10


def test_gradients_reach_the_records_and_the_weights(model: GCViT) -> None:
    with capture_attention(model) as records:
        model(images(1, 64))
    loss = sum(record.weights.square().sum() for record in records)
    loss.backward()
    assert all(stage.blocks[1].attn.bias.table.grad.any() for stage in model.stages)
    assert model.stem.conv.weight.grad.any()


def test_a_logit_has_a_gradient_by_the_recorded_weights(model: GCViT) -> None:
    attn, kept = model.stages[0].blocks[1].attn, {}
    attn.proj.register_forward_pre_hook(lambda _, inputs: kept.update(out=inputs[0]))
    attn.kv.register_forward_hook(lambda _, __, out: kept.update(v=out.chunk(2, dim=-1)[1]))
    with capture_attention(model) as records:
        logit = model(images(2, 64))[0, 3]
    found, of_out = torch.autograd.grad(logit, [records[1].weights, kept["out"]])
    assert found[0].any()
    assert not found[1].any()
    torch.testing.assert_close(found[:, :, 0].flatten(0, 1), of_out @ kept["v"].transpose(1, 2))  # out = weights v


def test_works_under_autocast(model: GCViT) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), capture_attention(model) as records:
        model(images(1, 64))
    sums = records[0].weights.float().sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=0.02, rtol=0)


def test_refused_under_gradient_checkpointing_in_training(model: GCViT) -> None:
    model.set_grad_checkpointing()
    message = r"set_grad_checkpointing\(False\) or model.eval\(\)"
    with pytest.raises(ValueError, match=message), capture_attention(model.train()):
        pass
    with torch.no_grad(), capture_attention(model.eval()) as records:
        model(images(1, 64))
    assert len(records) == 10
