"""What travels in a network, and by which way: nothing where every way is stopped, and no more than the whole."""

import pytest
import torch
from _support import images, small_model
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as TF

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention
from gcvit_edu.data import PairScenes, normalize
from gcvit_edu.experiments.information_flow import changes, exchanges, features_at, shares, way
from gcvit_edu.interventions import changed_query, frozen, recorded
from gcvit_edu.layers import SqueezeExcite
from gcvit_edu.mixers import with_mixer
from gcvit_edu.model import GCViT
from gcvit_edu.query import GlobalQueryGenerator

ALL = ("query", "gates", "attention")


@pytest.fixture(scope="module")
def model() -> GCViT:
    """With weights so large that something travels."""
    torch.manual_seed(0)
    model = small_model().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures that differ in the lower right corner, and pixels far away, near, and within."""
    before = images(2, 64)
    after = before.clone()
    after[:, :, 60:, 60:] += 1
    return before, after, torch.tensor([[1, 1], [34, 34], [63, 63]]).expand(2, -1, -1)


def test_nothing_changes_where_nothing_is_exchanged(model: GCViT, pictures: tuple[Tensor, Tensor, Tensor]) -> None:
    before, _, places = pictures
    assert not changes(model, before, before, places).any()


def test_far_away_only_what_is_not_stopped_arrives(model: GCViT, pictures: tuple[Tensor, Tensor, Tensor]) -> None:
    found = changes(model, *pictures, [(), ("query",), ("gates",), ("query", "gates"), ALL])
    assert found.shape == (5, 2, 3, 4)
    far, within = found[:, :, 0, 0], found[:, :, 2, 0]  # in the first stage, which has several windows
    assert (far[:3] > 0).all()
    assert not far[3:].any()  # neither convolutions nor windows reach so far
    assert (within > 0).all()


def test_stopping_the_query_is_giving_it_the_old_one(model: GCViT, pictures: tuple[Tensor, Tensor, Tensor]) -> None:
    before, after, places = pictures
    queries = [stage.query for stage in model.stages]
    with torch.no_grad():
        with recorded(queries) as old:
            maps = model.forward_intermediates(before, intermediates_only=True, output_fmt="NHWC")
        stored = iter([old[query] for query in queries])
        with changed_query(model, lambda query: next(stored)):
            others = model.forward_intermediates(after, intermediates_only=True, output_fmt="NHWC")
    tokens = (features_at(some, places, 64) for some in (maps, others))
    by_hand = torch.stack([(a - b).norm(dim=-1) for a, b in zip(*tokens, strict=True)], -1)
    torch.testing.assert_close(changes(model, before, after, places, [("query",)])[0], by_hand)


def test_modules_are_as_before_when_the_context_ends(model: GCViT) -> None:
    one, other = images(2, 64).split(1)
    before = model(one)
    with recorded(way(model, "attention")) as outputs:
        model(other)
    with frozen(outputs):
        assert not torch.equal(model(one), before)
    assert torch.equal(model(one), before)
    assert not any(part._forward_hooks for part in model.modules())


def test_ways_are_the_parts_that_mix_places(model: GCViT) -> None:
    blocks = sum(len(stage.blocks) for stage in model.stages)
    parts = {name: way(model, name) for name in ALL}
    assert {name: len(found) for name, found in parts.items()} == {"query": 4, "gates": 4, "attention": blocks}
    assert {type(part) for part in parts["query"]} == {GlobalQueryGenerator}
    assert {type(part) for part in parts["attention"]} == {WindowAttention, GlobalWindowAttention}
    gates = [part for part in model.modules() if isinstance(part, SqueezeExcite)]
    outside = [gate for gate in gates if not any(gate in query.modules() for query in parts["query"])]
    assert parts["gates"] == [gate.fc2 for gate in outside]
    with pytest.raises(ValueError, match="no way 'mlp'; take 'query', 'gates' or 'attention'"):
        way(model, "mlp")


def test_a_network_without_queries_can_have_them_stopped(pictures: tuple[Tensor, Tensor, Tensor]) -> None:
    local = with_mixer(small_model(), "local only").eval()
    open_way, stopped = changes(local, *pictures, [(), ("query",)])
    assert torch.equal(open_way, stopped)


def test_a_feature_is_that_of_the_token_that_holds_the_pixel() -> None:
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    values = torch.stack([rows, columns], -1).expand(2, -1, -1, -1)
    places = torch.tensor([[[0, 0], [15, 16]], [[63, 47], [31, 32]]])
    (found,) = features_at([values], places, 64)
    assert found.tolist() == [[[0, 0], [0, 1]], [[3, 2], [1, 2]]]


def test_exchanges_change_one_place_and_leave_the_other() -> None:
    pairs = exchanges(3, distance=32, seed=5)
    assert pairs.before.shape == pairs.after.shape == (12, 3, 64, 64)
    scenes = PairScenes(12, distance=32, split="test", seed=5)
    shown = torch.cat([normalize(TF.to_pil_image(image)) for image, _ in scenes]).unflatten(0, (3, 4))
    assert torch.equal(pairs.before.unflatten(0, (3, 4)), shown[:, [0, 1, 0, 1]])
    assert torch.equal(pairs.after.unflatten(0, (3, 4)), shown[:, [2, 3, 3, 2]])
    for number, (before, after, (stays, other)) in enumerate(
        zip(pairs.before, pairs.after, pairs.places.tolist(), strict=True)
    ):
        differs = (before != after).any(0)
        for (row, column), changed in ((stays, False), (other, True)):
            assert differs[row - 8 : row + 8, column - 8 : column + 8].any() == changed
        assert differs[other[0] - 8 : other[0] + 8, other[1] - 8 : other[1] + 8].sum() == differs.sum()
        corners = {(top + 8, left + 8) for top, left in scenes.corners(number)}
        assert {tuple(stays), tuple(other)} == corners
        assert max(abs(a - b) for a, b in zip(stays, other, strict=True)) == 32


def test_a_share_is_far_over_near_and_one_where_both_are_one_token(model: GCViT) -> None:
    pairs = exchanges(2, distance=16)
    found = shares(model, pairs, [(), ALL])
    assert found.shape == (2, 2, 4)
    both = pairs.places[:, 0] // 32 == pairs.places[:, 1] // 32  # of the last stage
    one_token = both.all(-1).view(2, 4).all(1)
    assert one_token.any()  # else the seed is not for this test
    assert found[0, one_token, 3].tolist() == pytest.approx([1] * int(one_token.sum()))
    assert (found[1, :, 0] < found[0, :, 0]).all()
    moved = changes(model, pairs.before, pairs.after, pairs.places, [(), ("gates",)]).unflatten(1, (2, 4))
    for four in range(2):
        far, own = moved[1, four, :, 0].mean(0), moved[0, four, :, 1].mean(0)
        torch.testing.assert_close(shares(model, pairs, [("gates",)])[0, four], far / own)
    twice = shares(model, pairs, [(), ()])
    assert torch.equal(twice[0], twice[1])
    torch.testing.assert_close(twice[0], found[0])
