"""Maps of networks whose windows are shifted, or whose even blocks are global, too."""

from collections.abc import Callable

import pytest
import torch
from _support import images
from PIL import Image
from torch import Tensor, nn

from gcvit_edu import explore
from gcvit_edu.capture import AttentionRecord, capture_attention
from gcvit_edu.experiments.map_faithfulness import candidates
from gcvit_edu.maps import (
    attention_map,
    gradient_times_attention,
    map_to_windows,
    rollout,
    window_means,
    windows_to_map,
)
from gcvit_edu.mixers import with_mixer
from gcvit_edu.model import GCViT
from gcvit_edu.zoo import create_model


def network(mixer: str) -> GCViT:
    return with_mixer(create_model("nano", num_classes=5), mixer).eval()


@torch.no_grad()
def that_seeks(row: int, column: int, stage: int) -> GCViT:
    """A shifted network in whose stage block 1 all queries look for one token, if they can see it."""
    model = network("shifted")
    attn = model.stages[stage].blocks[1].attn
    dim = attn.proj.out_features
    for parameter in attn.qkv.parameters():
        parameter.zero_()
    attn.bias.table.zero_()
    attn.qkv.bias[:dim] = 1  # every query
    attn.qkv.weight[dim : 2 * dim, 0] = 1  # every key holds channel 0

    def only_one_token(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        seen = torch.zeros_like(inputs[0])
        seen[:, row, column, 0] = 3
        return (seen,)

    attn.register_forward_pre_hook(only_one_token)
    return model


def record_of(model: GCViT, stage: int) -> AttentionRecord:
    with torch.no_grad(), capture_attention(model) as records:
        model(images(1, 64))
    return next(record for record in records if (record.stage, record.block) == (stage, 1))


def place_of_the_largest(values: Tensor) -> tuple[int, int]:
    return divmod(int(values.argmax()), values.shape[-1])


OF_A_RECORD: dict[str, Callable[[AttentionRecord], Tensor]] = {
    "windows": window_means,
    "rollout": lambda record: rollout([record]),
    "gradient": lambda record: gradient_times_attention(record, torch.ones_like(record.weights)),
}


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 1), (7, 9), (13, 3), (15, 15)], ids=str)
def test_a_token_that_shifted_windows_seek_lies_where_it_is(place: tuple[int, int]) -> None:
    model = that_seeks(*place, stage=0)
    record = record_of(model, stage=0)
    assert record.shift == 2
    for name, make in OF_A_RECORD.items():
        assert place_of_the_largest(make(record)[0]) == place, name
    for method in ("windows", "unwindowed"):
        found = attention_map(model, images(1, 64), method=method, stage=0, block=1)
        assert place_of_the_largest(found.values[0]) == place, method


def test_a_map_of_a_single_window_is_not_shifted() -> None:
    records = [record_of(network("shifted"), stage) for stage in range(4)]
    assert [record.shift for record in records] == [2, 2, 0, 0]
    assert {record_of(network("local only"), stage).shift for stage in range(4)} == {0}


def test_undoing_a_shift_is_the_inverse_of_shifting() -> None:
    values = torch.arange(96.0).reshape(1, 8, 12)
    windows = map_to_windows(values, 4, 2)
    assert windows[0, 0].tolist() == values[0, 2:6, 2:6].flatten().tolist()
    assert windows_to_map(windows, 4, (8, 12), 2).equal(values)


def test_the_explorer_shows_no_shifted_windows() -> None:
    model, picture = network("shifted"), Image.new("RGB", (64, 64), "teal")
    with pytest.raises(ValueError, match=r"block 1 of stage 0 has shifted windows.*leave it out of blocks="):
        explore(model, picture)
    assert explore(model, picture, blocks=[(0, 0), (2, 1)]).note == ""


def test_which_blocks_are_global_is_asked_of_the_blocks() -> None:
    model, x = network("all global"), images(1, 64)
    for block in range(4):
        assert attention_map(model, x, method="column", stage=2, block=block).block == block
    assert attention_map(model, x, method="column", stage=2).block == 3
    model.stages[2].blocks = model.stages[2].blocks[:3]
    assert attention_map(model, x, method="column", stage=2).block == 2


@pytest.mark.parametrize("mixer", ["local only", "shifted"])
def test_networks_without_global_blocks_say_so(mixer: str) -> None:
    model, x = network(mixer), images(1, 64)
    for method in ("windows", "unwindowed", "gradient", "column"):
        with pytest.raises(ValueError, match=r"stage 1 has no global block; give block=.* 0 to 1"):
            attention_map(model, x, method=method, stage=1)
    with pytest.raises(ValueError, match=r"block=1 is local.*stage 2 are: none.*another method"):
        attention_map(model, x, method="column", stage=2, block=1)
    assert attention_map(model, x, method="windows", stage=1, block=1).values.shape == (1, 8, 8)


@pytest.mark.parametrize("mixer", ["shifted", "all global", "global query"])
def test_every_map_that_is_judged_can_be_made(mixer: str) -> None:
    model, x = network(mixer), images(1, 64)
    for name, options in candidates(model, 64).items():
        found = attention_map(model, x, **options)
        assert found.values.isfinite().all(), name
        assert ("column" in name) <= (mixer != "shifted")
