"""Blocks, stages and the whole network."""

from dataclasses import replace

import pytest
import torch
from _support import (
    error_of,
    gradients,
    images,
    loop_block,
    loop_query,
    peak_error_of,
    small_config,
    small_model,
)
from torch import nn

from gcvit_edu.inputs import check_image
from gcvit_edu.layers import DropPath, FusedMBConv, LayerScale, SqueezeExcite
from gcvit_edu.model import Block, GCViT, Stage
from gcvit_edu.position import RelativePositionBias
from gcvit_edu.variants import VARIANTS


def cousin(name: str) -> GCViT:
    """A variant with its own MLP ratio, layer scale and drop path, cut to 64 pixels and few blocks."""
    config = VARIANTS[name]
    depths = tuple(2 + depth % 2 for depth in config.depths)  # an odd depth ends on a local block
    torch.manual_seed(0)
    return GCViT(
        replace(
            small_config(),
            depths=depths,
            mlp_ratio=config.mlp_ratio,
            layer_scale=config.layer_scale,
            drop_path_rate=config.drop_path_rate,
        )
    )


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (33, 47), (64, 96), (130, 50)], ids=str)
def test_shapes(size: tuple[int, int]) -> None:
    model, image = small_model(), images(2, *size)
    with torch.no_grad():
        assert model(image).shape == (2, 5)
        final, maps = model.forward_intermediates(image)
    expected = [(2, 16 * 2**i, -(-size[0] // 2 ** (i + 2)), -(-size[1] // 2 ** (i + 2))) for i in range(4)]
    assert [tuple(each.shape) for each in maps] == expected
    assert tuple(final.shape) == expected[-1]


@pytest.mark.parametrize("layer_scale", [None, 0.5])
@pytest.mark.parametrize("use_global", [False, True])
def test_a_block_equals_loops_forward_and_backward(use_global: bool, layer_scale: float | None) -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 3, use_global=use_global, mlp_ratio=2.5, layer_scale=layer_scale).double()
    nn.init.normal_(block.attn.bias.table)
    x = torch.randn(2, 4, 6, 8, dtype=torch.float64, requires_grad=True)
    query = torch.randn(2, 2, 9, 4, dtype=torch.float64, requires_grad=True)
    found, expected = block(x, query), loop_block(block, x, query)
    torch.testing.assert_close(found, expected)
    mix = torch.randn_like(found)
    wanted = [x, *([query] if use_global else []), *block.parameters()]
    ours = torch.autograd.grad((found * mix).sum(), wanted)
    theirs = torch.autograd.grad((expected * mix).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_stage_equals_loops() -> None:
    torch.manual_seed(0)
    config = small_config(embed_dim=8, window_sizes=(4, 4, 4, 2), num_heads=(1, 2, 2, 2), layer_scale=0.5)
    for index, side in enumerate((16, 16, 8, 4)):
        stage = Stage(config, index).double().eval()
        dim = config.dims[max(0, index - 1)]
        x = torch.randn(1, side, side, dim, dtype=torch.float64)
        expected = stage.downsample(x)  # held to loops in test_stem.py
        query = loop_query(stage.query, expected)
        for block in stage.blocks:
            expected = loop_block(block, expected, query)
        torch.testing.assert_close(stage(x), expected)
        if index == 1:
            break  # two stages show both kinds, without and with a downsampler


def test_a_block_leaves_its_input_alone() -> None:
    for layer_scale in (None, 0.5):
        block = Block(8, 2, 2, use_global=False, layer_scale=layer_scale)
        x = torch.randn(1, 4, 4, 8)
        before = x.clone()
        block(x, None)
        assert torch.equal(x, before)


def test_blocks_alternate_and_an_odd_stage_ends_on_a_local_block() -> None:
    model = small_model()
    assert [[block.use_global for block in stage.blocks] for stage in model.stages] == [
        [False, True, False],
        [False, True],
        [False, True, False],
        [False, True],
    ]


@pytest.mark.parametrize("size", [64, 50])
@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_parameter_gets_a_gradient_in_training(name: str, size: int) -> None:
    model = cousin(name).train()
    torch.manual_seed(1)
    model(images(8, size)).square().sum().backward()  # so many that no block is dropped for all
    idle = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not idle
    assert all(value.grad.isfinite().all() for value in model.parameters())


def test_that_check_notices_an_idle_parameter() -> None:
    model = cousin("nano")
    model.register_parameter("idle", nn.Parameter(torch.ones(1)))
    model(images(1, 64)).sum().backward()
    assert [key for key, value in model.named_parameters() if value.grad is None] == ["idle"]


@pytest.mark.parametrize("size", [64, 50])
def test_gradient_checkpointing_changes_nothing(size: int) -> None:
    model = small_model(drop_path_rate=0.3).train()
    x = images(3, size)
    found = {}
    for enabled in (False, True):
        model.set_grad_checkpointing(enabled)
        torch.manual_seed(0)  # the same samples are dropped
        found[enabled] = gradients(model, x)
    assert max(error_of(found[True][name], found[False][name]) for name in found[True]) < 1e-5


def test_gradient_checkpointing_runs_blocks_again_and_only_in_training() -> None:
    model = small_model()
    calls = []
    model.stages[0].blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    model.set_grad_checkpointing()
    model.eval()(images(1, 64)).sum().backward()
    assert len(calls) == 1
    model.train()(images(1, 64)).sum().backward()
    assert len(calls) == 3
    model.set_grad_checkpointing(False)
    model(images(1, 64)).sum().backward()
    assert len(calls) == 4


@pytest.mark.parametrize("layer_scale", [None, 0.5])
@pytest.mark.parametrize("train", [False, True])
def test_bfloat16_autocast(train: bool, layer_scale: float | None) -> None:
    model, x = small_model(layer_scale=layer_scale).train(train), images(2, 50)
    expected = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x)
        out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert error_of(out.float(), expected) < 0.1
    assert all(value.grad.isfinite().all() for value in model.parameters())


def test_a_model_of_bfloat16_runs() -> None:
    model = small_model().bfloat16()
    with torch.no_grad():
        assert model(images(2, 50, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("size", [64, 50])
def test_the_meta_device(size: int) -> None:
    with torch.device("meta"):
        model = GCViT(small_config())
    assert all(value.is_meta for value in model.state_dict().values())
    out = model(torch.empty(2, 3, size, size, device="meta"))
    assert out.shape == (2, 5)
    assert out.is_meta


def test_the_state_dict_holds_parameters_only() -> None:
    model = small_model()
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters()]


def test_weights_start_as_described() -> None:
    torch.manual_seed(0)
    model = GCViT(small_config(embed_dim=32, num_heads=(1, 2, 4, 8), layer_scale=1e-5))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.15), name
            assert module.bias is None or not module.bias.any(), name
        elif isinstance(module, nn.LayerNorm):
            assert torch.all(module.weight == 1), name
            assert not module.bias.any(), name
        elif isinstance(module, LayerScale):
            assert torch.all(module.gamma == 1e-5), name
    for name, value in model.named_parameters():
        if name.endswith("table"):
            assert 0.012 < value.std().item() < 0.028, name
    out = model.eval()(images(2, 64))
    assert out.std() < 1, "an untrained model should not be sure of anything"


def test_drop_path_reaches_every_block() -> None:
    model = GCViT(small_config(drop_path_rate=0.9))
    rates = [module.rate for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.1 * block for block in range(10) for _ in range(2)])


def test_drop_path_is_for_training_only() -> None:
    model, x = small_model(drop_path_rate=0.5), images(4, 64)
    torch.testing.assert_close(model(x), model(x))
    torch.manual_seed(0)
    model.train()
    assert error_of(model(x), model(x)) > 0.1


REFUSALS = [
    (torch.zeros(3, 64, 64), ["(3, 64, 64)", "expected (batch, 3, height, width)"]),
    (torch.zeros(1, 1, 64, 64), ["(1, 1, 64, 64)", "expected (batch, 3, height, width)"]),
    (torch.zeros(1, 64, 64, 3), ["(1, 64, 64, 3)", "expected (batch, 3, height, width)"]),
    (torch.zeros(1, 3, 32, 64, 64), ["(1, 3, 32, 64, 64)", "expected (batch, 3, height, width)"]),
    (torch.zeros(1, 3, 31, 64), ["31x64", "32 or more"]),
    (torch.zeros(1, 3, 64, 16), ["64x16", "32 or more"]),
    (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), ["torch.uint8", "divide by 255"]),
    (torch.full((1, 3, 64, 64), 255.0), ["up to 255", "divide by 255"]),
    (torch.full((1, 3, 64, 64), 101.0), ["up to 101", "divide by 255"]),
    (torch.full((1, 3, 64, 64), -101.0), ["up to 101 in size", "divide by 255"]),
    (torch.full((1, 3, 64, 64), float("inf")), ["infinite values", "division by zero"]),
    (torch.full((1, 3, 64, 64), float("-inf")), ["infinite values", "division by zero"]),
    (torch.tensor([float("nan"), float("inf")]).repeat(96, 32).view(1, 3, 32, 64), ["infinite values"]),
]


@pytest.mark.parametrize(("image", "words"), REFUSALS, ids=[str(words[0]) for _, words in REFUSALS])
def test_images_that_cannot_be_right_are_refused(image: torch.Tensor, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        small_model()(image)
    for word in words:
        assert word in str(caught.value)


def test_normalised_images_are_not_refused() -> None:
    config = small_config()
    for image in (images(2, 64), torch.zeros(1, 3, 32, 500), torch.full((1, 3, 40, 40), 99.0)):
        check_image(image, config)
    check_image(torch.empty(0, 3, 64, 64), config)


def test_an_empty_batch_gives_no_logits() -> None:
    with torch.no_grad():
        assert small_model()(torch.empty(0, 3, 64, 64)).shape == (0, 5)


def test_no_classes_give_the_pooled_map() -> None:
    model = small_model(num_classes=0)
    with torch.no_grad():
        out = model(images(2, 64))
        expected = model.forward_features(images(2, 64)).mean((2, 3))
    assert out.shape == (2, 128)
    torch.testing.assert_close(out, expected)


def test_float64_and_float32_agree() -> None:
    model, x = small_model(), images(2, 50)
    with torch.no_grad():
        assert peak_error_of(model(x).double(), model.double()(x.double())) < 1e-5


@pytest.mark.parametrize("assign", [False, True])
def test_a_model_made_without_memory_works_once_loaded(assign: bool) -> None:
    made = small_model().eval()
    with torch.device("meta"):
        empty = GCViT(made.config).eval()
    if not assign:
        empty = empty.to_empty(device="cpu")
    empty.load_state_dict(made.state_dict(), assign=assign)
    x = images(2, 64)
    assert empty(x).equal(made(x))


def test_weights_may_be_loaded_where_new_tensors_would_have_no_memory() -> None:
    made = small_model().eval()
    with torch.device("meta"):
        empty = GCViT(made.config).eval()
        empty.load_state_dict(made.state_dict(), assign=True)
    x = images(2, 64)
    assert empty(x).equal(made(x))


OWN_OUTPUTS = (nn.Conv2d, nn.Linear, nn.LayerNorm, SqueezeExcite)


def test_hooks_on_every_module_work_and_see_the_modules_own_output() -> None:
    model = small_model()
    seen, handles = {}, []
    for name, module in model.named_modules():
        if not isinstance(module, RelativePositionBias):  # it has no input to take a gradient of
            handles.append(module.register_full_backward_hook(lambda *_: None))
        handles.append(module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, (m, i, o))))
    model(images(1, 64).requires_grad_()).sum().backward()
    for handle in handles:
        handle.remove()
    own = [(module, *given, out) for module, given, out in seen.values() if isinstance(module, OWN_OUTPUTS)]
    assert {type(module) for module, *_ in own} == set(OWN_OUTPUTS)
    for module, given, out in own:
        torch.testing.assert_close(out, module(given))


def test_gradients_per_sample() -> None:
    model = small_model().eval()
    weights = dict(model.named_parameters())

    def loss(weights: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, weights, (image[None],)).square().sum()

    x = images(2, 64)
    together = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    alone = torch.func.grad(loss)(weights, x[1])
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1], value, rtol=1e-4, atol=1e-5)


def test_half_precision_survives_a_large_map() -> None:
    block = FusedMBConv(4).half()
    x = torch.full((1, 4, 256, 256), 4.0, dtype=torch.float16)
    assert block(x).isfinite().all()


def test_stop_early_gives_the_last_map_computed() -> None:
    model, x = small_model().eval(), images(1, 64)
    last, (chosen,) = model.forward_intermediates(x, indices=[1], stop_early=True)
    assert last.equal(chosen)
    everything, _ = model.forward_intermediates(x, indices=[3], stop_early=True)
    assert everything.equal(model.forward_features(x))


@pytest.mark.parametrize("indices", [-1, 0, 5])
def test_a_number_of_stages_that_is_not_there_is_refused(indices: int) -> None:
    with pytest.raises(ValueError, match=f"indices={indices} names a stage that is not there"):
        small_model().forward_intermediates(images(1, 64), indices=indices)


def test_pruning_for_no_stage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"indices=\[\] names no stage"):
        small_model().prune_intermediate_layers([])


@pytest.mark.parametrize(("indices", "stages"), [([0, 1], 2), (1, 4), ([3], 4)])
def test_pruning_leaves_only_what_the_maps_need(indices: int | list[int], stages: int) -> None:
    model, x = small_model(), images(2, 64)
    expected = model.forward_intermediates(x, indices=indices, intermediates_only=True)
    kept = model.prune_intermediate_layers(indices, prune_norm=True)
    assert len(model.stages) == stages
    assert model.num_features == small_config().dims[stages - 1]
    found = model.forward_intermediates(x, indices=kept, intermediates_only=True)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
    sum(y.sum() for y in found).backward()
    unused = [name for name, value in model.named_parameters() if value.grad is None]
    assert unused == []  # or data-parallel training would stop


def test_a_new_head_is_part_of_the_config() -> None:
    model = small_model()
    model.reset_classifier(7)
    GCViT(model.config).load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match="num_classes=-1 cannot be"):
        model.reset_classifier(-1)
