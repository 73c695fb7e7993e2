"""Files of weights as people and programs write them: where the weights are, which of them, and under which name."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from _support import small_model
from safetensors.torch import save_file
from timm.models import load_state_dict
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gcvit_edu.train.checkpoint import save
from gcvit_edu.train.randomness import random_state
from gcvit_edu.weights import load_weights, read_weights, weights_in

RAW = small_model(0).state_dict()
AVERAGE = small_model(1).state_dict()


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(value, expected[key]) for key, value in found.items())


# ------------------------------------------------------------------------------------- weights and their average

BOTH: dict[str, dict[str, object]] = {
    "timm": {"epoch": 3, "arch": "gcvit", "state_dict": RAW, "state_dict_ema": AVERAGE},
    "timm, distributed": {"state_dict": under("module.", RAW), "state_dict_ema": under("module.", AVERAGE)},
    "DeiT": {"model": RAW, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "model_ema": AVERAGE},
    "ours": {"model": RAW, "average": AVERAGE, "model_ema": AVERAGE, "progress": {"step": 3}},
    "ours, older": {"model": RAW, "average": AVERAGE, "progress": {"step": 3}},
    "a class": {"model": RAW, "ModelEMA": AVERAGE},
    "BasicSR": {"params": RAW, "params_ema": AVERAGE},
    "RT-DETR": {"model": RAW, "ema": {"module": AVERAGE, "updates": 7}},
    "shadow by name": {"model": RAW, "ema": {"decay": 0.9, "shadow": AVERAGE}},
    "swa": {"model": RAW, "swa_model": {**under("module.", AVERAGE), "n_averaged": torch.tensor(3)}},
    "ema_pytorch": {**under("online_model.", RAW), **under("ema_model.", AVERAGE), "initted": torch.tensor(True)},
    "a Lightning module": {
        "state_dict": {**under("model.", RAW), **under("ema.module.", AVERAGE), "ema.n_averaged": torch.tensor(3)},
        "hyper_parameters": {"lr": 0.1},
    },
    "a Lightning callback": {
        "state_dict": under("net.", RAW),
        "callbacks": {"StochasticWeightAveraging": {"average_model_state": under("net.", AVERAGE)}},
    },
    # These two write the average as the state dict.
    "Lightning's WeightAveraging": {
        "state_dict": under("model.", AVERAGE),
        "current_model_state": under("model.", RAW),
        "averaging_state": {"n_averaged": torch.tensor(3)},
    },
    "mmengine": {
        "meta": {"mmengine_version": "0.10.4"},
        "state_dict": under("backbone.", AVERAGE),
        "ema_state_dict": {**under("module.backbone.", RAW), "steps": torch.tensor(9)},
    },
}


@pytest.mark.parametrize("layout", BOTH)
def test_the_average_is_taken_and_that_is_said(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(BOTH[layout], tmp_path / "both.pth")
    assert equal(read_weights(tmp_path / "both.pth"), AVERAGE)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "the average is taken" in said
    assert "both.pth" in said
    model = small_model(2)
    load_weights(model, tmp_path / "both.pth", use_ema=False)
    assert equal(model.state_dict(), RAW)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"state_dict": RAW, "state_dict_ema": None},
        {"model": RAW, "average": None},
        {"weights": {"network": RAW}, "ema_decay": 0.99},
        {"model": RAW, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "averages": {"loss": [0.1]}},
        under("_orig_mod.module.", RAW),
        under("timm_model.", RAW),
        {"state_dict": {key.replace("stages.0.", "stages.0._orig_mod."): value for key, value in RAW.items()}},
        {key.replace("mlp.", "_fsdp_wrapped_module.mlp."): value for key, value in RAW.items()},
        AveragedModel(small_model(0)).state_dict(),
    ],
)
def test_without_an_average_nothing_is_said(checkpoint: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert equal(weights_in(checkpoint, "x"), RAW)
    assert capsys.readouterr().out == ""


def test_a_checkpoint_of_a_run_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(0)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    average = AVERAGE
    state = {"model": model.state_dict(), "average": average, "model_ema": average}
    state["optimizer"] = optimizer.state_dict()
    path = save(tmp_path, 7, state | {"random": [random_state()], "config": {"classes": ["a", "b"]}}, best=True)
    assert equal(read_weights(path), AVERAGE)
    assert equal(load_state_dict(str(path)), AVERAGE)  # timm's own loader
    assert "step_00000007.pt holds model and the average" in capsys.readouterr().out
    save(tmp_path, 8, state | {"average": None, "model_ema": None}, best=True)
    assert equal(read_weights(tmp_path / "best.pt"), model.state_dict())
    with pytest.raises(ValueError, match=r"without model.safetensors or pytorch_model.bin.*best.pt, step_00000007.pt"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("checkpoint", "options", "said"),
    [
        ({"student": RAW, "teacher": RAW}, {}, "2 sets of weights, of student, teacher; save the one"),
        ({"model": RAW, "ema": AVERAGE, "ema2": RAW}, {}, "2 sets of weights, of model, ema, ema2"),
        ({"ema": AVERAGE}, {"use_ema": False}, "0 sets of weights that are no average, of ema"),
        ({"model": RAW, "ema": {"shadow_params": [*RAW.values()]}}, {}, "ema.shadow_params.*use_ema=False takes"),
        ({"model": {**RAW, "x": 1}}, {}, "x should be tensors"),
        ({"epoch": 3, "arch": "gcvit", "weight": "a", "d": 4}, {}, "its keys are epoch, arch, weight and 1 more"),
        ({"state_dict": {"conv1.weight": torch.ones(1)}}, {}, "keys conv1.weight belong to no known layout"),
    ],
)
def test_what_is_not_clear_is_refused_and_what_is_there_named(checkpoint: dict, options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        weights_in(checkpoint, "x", **options)


def test_the_rest_of_a_training_module_is_left_alone_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    module = {**under("model.", RAW), "criterion.weight": torch.ones(5), "steps": torch.tensor(3)}
    assert equal(weights_in({"state_dict": module}, "last.ckpt"), RAW)
    said = capsys.readouterr().out
    assert "last.ckpt: criterion.weight left alone" in said
    assert "steps" not in said


# --------------------------------------------------------------------------------------------- names of files


def as_safetensors(path: Path) -> None:
    save_file(RAW, path)


def as_zip(path: Path) -> None:
    torch.save({"state_dict": RAW, "args": argparse.Namespace(lr=0.1)}, path)


def as_pickle(path: Path) -> None:
    torch.save(RAW, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [as_safetensors, as_zip, as_pickle])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "last.ckpt", "a.safetensors", "a.model", "weights", "a.pth.tar"])
def test_a_file_is_read_by_what_is_in_it(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    assert equal(read_weights(tmp_path / name), RAW)


@pytest.mark.parametrize(("name", "write"), [("model.safetensors", as_safetensors), ("pytorch_model.bin", as_pickle)])
def test_a_folder_as_of_a_hub(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    (tmp_path / "config.json").write_text("{}")
    assert equal(read_weights(tmp_path), RAW)


class Opens:
    """Unpickling it runs code that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "last.ckpt", "a.safetensors", "weights"])
def test_code_in_a_file_is_not_run_whatever_its_name(name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": RAW, "callback": Opens(tmp_path / "trace")}, tmp_path / name)
    with pytest.raises(ValueError, match=r"cannot be read safely.*such as \w+.*Save the state dict alone"):
        read_weights(tmp_path / name)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"x", b"PK\3\4", b"\x80\2}", b"12345678{", b'{"a": 1, "b": 2}'])
@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_what_is_no_weights_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} (cannot be read safely|is not a whole safetensors file|holds no)"):
        read_weights(tmp_path / name)
