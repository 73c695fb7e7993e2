"""torch.fx: timm's feature extraction works bit for bit; what cannot work is refused in words."""

import pytest
import timm
import torch
from _support import images, small_model
from timm.layers import get_notrace_functions, get_notrace_modules
from torchvision.models import feature_extraction

from gcvit_edu.mixers import MIXERS, with_mixer
from gcvit_edu.model import GCViT
from gcvit_edu.zoo import create_model

NODES = ["stem", "stages.0", "stages.1.query", "head"]


def by_timm(model: GCViT) -> torch.nn.Module:
    return timm.models.create_feature_extractor(model, NODES)


def by_torchvision(model: GCViT) -> torch.nn.Module:
    leaves = {"leaf_modules": get_notrace_modules(), "autowrap_functions": get_notrace_functions()}
    return feature_extraction.create_feature_extractor(model, NODES, tracer_kwargs=leaves)


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("make", [by_timm, by_torchvision])
def test_features_are_the_models_own_at_any_size(make: object, train: bool) -> None:
    model = small_model(layer_scale=0.1, drop_path_rate=0.0).train(train)
    extractor = make(model)
    assert model.training == train
    expected = {}
    for name in NODES:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: expected.update({name: out}))
    for x in (images(2, 64), images(1, 50, 70)):
        model(x)
        found = extractor(x)
        assert list(found) == NODES
        assert all(found[name].equal(expected[name]) for name in NODES)


def test_node_names_reach_into_the_network_and_leave_its_mode() -> None:
    model = create_model("nano").eval()
    train_names, eval_names = timm.models._features_fx.get_graph_node_names(model)
    assert train_names == eval_names
    assert {"stem.down.mbconv.conv_pw", "stages.0.blocks.1.attn", "stages.3.blocks.0.mlp.fc1"} <= set(eval_names)
    assert not model.training


@pytest.mark.parametrize("mixer", MIXERS)
def test_ablations_are_traced_too(mixer: str) -> None:
    model = with_mixer(create_model("nano"), mixer).eval()
    x = images(2, 64)
    with torch.no_grad():
        assert timm.models.create_feature_extractor(model, ["head"])(x)["head"].equal(model(x))


TRACERS = {
    "torch.fx": torch.fx.symbolic_trace,
    "torchvision": lambda model: feature_extraction.create_feature_extractor(model, ["head"]),
    "names": feature_extraction.get_graph_node_names,
}


@pytest.mark.parametrize("name", TRACERS)
def test_a_tracer_without_leaves_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"torch\.export, model\.forward_intermediates.*timm\.layers.*model\.eval"):
        TRACERS[name](small_model())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_scripting_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"cannot be scripted.*torch\.export.*torch\.jit\.trace"):
        torch.jit.script(small_model())
    with pytest.raises(ValueError, match="cannot be scripted"):
        torch.jit.script(torch.nn.Sequential(small_model()))


def test_timm_is_told_when_it_asks_for_a_network_to_script() -> None:
    with pytest.raises(ValueError, match=r"scriptable=True.*torch\.export"):
        timm.create_model("gcvit_edu_nano", scriptable=True)
