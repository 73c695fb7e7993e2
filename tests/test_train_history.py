"""Attention through training: what is stored is what the networks of those epochs do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gcvit_edu.capture import capture_attention
from gcvit_edu.data import normalize
from gcvit_edu.experiments import attention_history
from gcvit_edu.experiments.attention_history import PICTURES, drawing, read_history
from gcvit_edu.files import data_folder
from gcvit_edu.zoo import create_model


def test_a_run_is_recorded_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    models = {epoch: create_model("nano", num_classes=13).eval() for epoch in (0, 10, 2)}
    for epoch, model in models.items():
        save_file(model.state_dict(), tmp_path / f"epoch_{epoch:04d}.safetensors")
    for other in ("final.safetensors", "epoch_0005.safetensors.writing", "epoch_0007.png", "epoch_1_old.safetensors"):
        (tmp_path / other).write_bytes(b"not looked at")
    attention_history.main([str(tmp_path), "--out", str(tmp_path / "history.npz")])
    assert capsys.readouterr().out.startswith("history.npz: ")
    found = read_history(tmp_path / "history.npz")
    assert found.epochs == (0, 2, 10)
    assert found.pictures == ("wink", "tiger2", "ambulance")
    assert found.blocks == tuple((stage, block) for stage, depth in enumerate((2, 2, 4, 2)) for block in range(depth))
    for epoch, model in models.items():
        with torch.no_grad(), capture_attention(model) as records:
            model(normalize(drawing("tiger2", "google")))
        for record in records:
            stored = found.weights(epoch, "tiger2", record.stage, record.block)
            assert stored.shape == record.weights[0].shape
            assert torch.allclose(stored.sum(-1), torch.ones(()))
            assert (stored - record.weights[0]).abs().max() <= 1 / 255
    wrong = found.weights(0, "tiger2", 0, 0) - found.weights(10, "tiger2", 0, 0)
    assert wrong.abs().max() > 1 / 255, "another epoch would be seen"


def test_what_was_not_recorded_is_refused() -> None:
    found = read_history()
    for epoch, picture, stage, block, said in (
        (3, "wink", 0, 0, "epoch 3 was not recorded; there are 0, 1, 2"),
        (0, "rat", 0, 0, "picture 'rat' was not recorded; there are wink, tiger2, ambulance"),
        (0, "wink", 0, 2, r"block \(0, 2\) was not recorded"),
    ):
        with pytest.raises(ValueError, match=said):
            found.weights(epoch, picture, stage, block)


def test_a_run_without_weights_and_an_unknown_drawing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no epoch_NNNN.safetensors; train with snapshot_epochs"):
        attention_history.record(tmp_path)
    with pytest.raises(ValueError, match=r"none has no epoch_NNNN.safetensors"):
        attention_history.record(tmp_path / "none")
    with pytest.raises(ValueError, match="no held-out emoji is called 'grinning_cat' and drawn by 'google'"):
        drawing("grinning_cat", "google")


def test_the_shipped_history_ends_with_the_shipped_weights() -> None:
    found = read_history()
    assert (data_folder("runs") / "emoji_nano_attention.npz").stat().st_size < 1e6
    assert len(found.epochs) >= 9
    assert found.epochs[0] == 0
    model = create_model("nano", pretrained=True).eval()
    for picture, vendor in PICTURES:
        with torch.no_grad(), capture_attention(model) as records:
            model(normalize(drawing(picture, vendor)))
        for record in records:
            stored = found.weights(found.epochs[-1], picture, record.stage, record.block)
            # 1/255 of rounding, and the shipped weights are in half precision.
            assert (stored - record.weights[0]).abs().max() < 1 / 255 + 0.01
    early = found.weights(0, "wink", 2, 1).numpy()
    assert np.abs(early - found.weights(found.epochs[-1], "wink", 2, 1).numpy()).max() > 0.1
