"""Networks without the global query, and trained ones with another: what is exchanged, and that nothing else is."""

import pytest
import torch
from _support import images, small_model
from torch import Tensor, nn
from torchvision.models.swin_transformer import shifted_window_attention

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention
from gcvit_edu.interventions import QUERY_CHANGES, changed_query, noise_like, shuffled
from gcvit_edu.mixers import MIXERS, NoQuery, PooledQuery, ShiftedWindowAttention, shifted_apart, with_mixer


def attention_kinds(mixer: str) -> list[list[type]]:
    model = with_mixer(small_model(), mixer)
    return [[type(block.attn) for block in stage.blocks] for stage in model.stages]


@pytest.mark.parametrize(
    ("mixer", "even", "odd"),
    [
        ("global query", WindowAttention, GlobalWindowAttention),
        ("pooled query", WindowAttention, GlobalWindowAttention),
        ("all global", GlobalWindowAttention, GlobalWindowAttention),
        ("local only", WindowAttention, WindowAttention),
        ("shifted", WindowAttention, ShiftedWindowAttention),
    ],
)
def test_a_mixer_says_what_each_block_does(mixer: str, even: type, odd: type) -> None:
    for kinds in attention_kinds(mixer):
        assert kinds == [(even, odd)[block % 2] for block in range(len(kinds))]


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_network_of_each_mixer_learns_with_all_its_weights(mixer: str) -> None:
    model = with_mixer(small_model(), mixer).train()
    model(images(2, 64)).square().sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_an_unknown_mixer_is_refused() -> None:
    with pytest.raises(ValueError, match="mixer='swin' is unknown; there are global query, pooled query"):
        with_mixer(small_model(), "swin")


def test_shifted_windows_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    ours = ShiftedWindowAttention(dim=8, num_heads=2, window=4).double()
    nn.init.normal_(ours.bias.table)
    x = torch.randn(3, 8, 12, 8, dtype=torch.float64)
    theirs = shifted_window_attention(
        x,
        ours.qkv.weight,
        ours.proj.weight,
        ours.bias()[None],
        [4, 4],
        2,
        shift_size=[2, 2],
        qkv_bias=ours.qkv.bias,
        proj_bias=ours.proj.bias,
        training=False,
    )
    torch.testing.assert_close(ours(x), theirs, atol=1e-12, rtol=0)
    plain = WindowAttention(dim=8, num_heads=2, window=4).double()
    plain.load_state_dict(ours.state_dict())
    assert not torch.allclose(plain(x), theirs, atol=1e-3)


def test_a_map_of_one_window_is_not_shifted() -> None:
    torch.manual_seed(0)
    shifted = ShiftedWindowAttention(dim=8, num_heads=2, window=4)
    plain = WindowAttention(dim=8, num_heads=2, window=4)
    plain.load_state_dict(shifted.state_dict())
    x = torch.randn(2, 4, 4, 8)
    torch.testing.assert_close(shifted(x), plain(x))


def test_shifted_windows_refuse_a_map_of_parts_of_windows() -> None:
    with pytest.raises(ValueError, match="cannot be cut into 4x4 windows"):
        ShiftedWindowAttention(dim=8, num_heads=2, window=4)(torch.zeros(1, 6, 8, 8))


def test_tokens_that_rolling_brought_together_are_apart() -> None:
    apart = shifted_apart(4, 4, 2)  # windows of 2, rolled by 1: the last window of a side has both ends of the map
    assert apart.shape == (4, 4, 4)
    assert not apart[0].any()
    assert apart[1].tolist() == [[column % 2 != key % 2 for key in range(4)] for column in range(4)]
    assert (apart[3] == ~torch.eye(4, dtype=torch.bool)).all()


def test_a_pooled_query_is_the_mean_of_what_each_cell_covers() -> None:
    x = torch.arange(2 * 4 * 4 * 6, dtype=torch.float32).view(2, 4, 4, 6)
    query = PooledQuery(num_heads=3, window=2)(x)
    assert query.shape == (2, 3, 4, 2)
    assert torch.equal(query[1, 2, 1], x[1, :2, 2:, 4:].mean((0, 1)))


def test_no_query_is_none() -> None:
    assert NoQuery()(torch.zeros(1, 2, 2, 4)) is None


# ------------------------------------------------------------------------------------------------ changed queries


@pytest.fixture
def query() -> Tensor:
    return torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))


def test_changes_are_what_their_names_say(query: Tensor) -> None:
    changed = {name: change(query, 0) for name, change in QUERY_CHANGES.items()}
    assert {name: value.shape for name, value in changed.items()} == dict.fromkeys(QUERY_CHANGES, query.shape)
    assert torch.equal(changed["unchanged"], query)
    assert torch.equal(changed["neighbour's"][0], query[2])
    assert torch.equal(changed["mean of images"][1], query.mean(0))
    assert torch.equal(changed["mean of cells"][:, :, 3], query.mean(2))
    assert torch.equal(changed["cells shuffled"], shuffled(query, 0))
    assert torch.equal(changed["heads rotated"][:, 0], query[:, 1])
    assert torch.equal(changed["noise"], noise_like(query, 0))
    assert not changed["zero"].any()
    assert [name for name, value in changed.items() if torch.equal(value, query)] == ["unchanged"]


def test_shuffling_keeps_the_cells(query: Tensor) -> None:
    assert not torch.equal(shuffled(query, 0), query)
    assert torch.equal(shuffled(query, 0).sort(2).values, query.sort(2).values)
    assert not torch.equal(shuffled(query, 1), shuffled(query, 0))


def test_noise_has_the_mean_and_deviation_of_each_channel() -> None:
    scale = torch.tensor([1.0, 5.0])
    query = 3 + scale * torch.randn(400, 2, 9, 2, generator=torch.Generator().manual_seed(0))
    noise = noise_like(query, 0)
    torch.testing.assert_close(noise.mean((0, 2)), query.mean((0, 2)), atol=0.2, rtol=0)
    torch.testing.assert_close(noise.std((0, 2)), query.std((0, 2)), atol=0, rtol=0.1)
    assert torch.equal(noise, noise_like(query, 0))
    assert not torch.equal(noise, noise_like(query, 1))


def test_a_query_is_changed_in_the_stages_asked_for_and_only_within_the_context() -> None:
    model, image = small_model().eval(), images(2, 64)
    before = model(image)
    seen: list[int] = []

    def change(query: Tensor) -> Tensor:
        seen.append(query.shape[1])
        return torch.zeros_like(query)

    heads = model.config.num_heads
    with changed_query(model, change):
        everywhere = model(image)
    assert seen == list(heads)
    seen.clear()
    with changed_query(model, change, stages=[0, 2]):
        some = model(image)
    assert seen == [heads[0], heads[2]]
    with pytest.raises(IndexError), changed_query(model, change, stages=[0, len(heads)]):
        pass  # a stage that there is not; those before it stay as they were
    assert not any(part._forward_hooks for part in model.modules())
    assert torch.equal(model(image), before)
    assert not torch.equal(some, before)
    assert not torch.equal(some, everywhere)
