"""Gradients come with their parameters' strides; otherwise DistributedDataParallel warns, and copies each of them."""

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from _support import small_config
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gcvit_edu.layers import FusedMBConv
from gcvit_edu.model import GCViT

LAYOUTS = {False: torch.contiguous_format, True: torch.channels_last}


def made(in_chans: int, channels_last: bool) -> GCViT:
    model = GCViT(small_config(in_chans=in_chans)).train()
    return model.to(memory_format=torch.channels_last) if channels_last else model


@pytest.mark.parametrize("images", [False, True], ids=["images plain", "images channels last"])
@pytest.mark.parametrize("weights", [False, True], ids=["weights plain", "weights channels last"])
@pytest.mark.parametrize("size", [(1, 64, 64), (2, 64, 64), (2, 50, 70), (1, 32, 32)], ids=str)
@pytest.mark.parametrize("in_chans", [1, 3])
def test_a_gradient_has_its_parameters_strides(
    in_chans: int, size: tuple[int, int, int], weights: bool, images: bool
) -> None:
    model = made(in_chans, weights)
    batch, height, width = size
    model(torch.randn(batch, in_chans, height, width).contiguous(memory_format=LAYOUTS[images])).sum().backward()
    differ = {
        name: (value.stride(), value.grad.stride())
        for name, value in model.named_parameters()
        if value.grad.stride() != value.stride()
    }
    assert not differ


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "half": lambda module: module.half(),
    "meta and back": lambda module: module.to("meta").to_empty(device="cpu"),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_keeps_the_strides_and_can_be_saved(how: str) -> None:
    strides = [weight.stride() for weight in FusedMBConv(8).parameters()]
    copied = COPIES[how](FusedMBConv(8))
    assert [weight.stride() for weight in copied.parameters()] == strides
    assert all(weight.is_contiguous() for weight in copied.parameters())  # safetensors saves no other


def steps_of_one_process(rank: int, folder: str) -> None:
    """A step of each kind of model, in which a warning is an error."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        for in_chans in (1, 3):
            for channels_last in LAYOUTS:
                wrapped = DistributedDataParallel(made(in_chans, channels_last))
                wrapped(torch.randn(2, in_chans, 64, 64)).sum().backward()
    finally:
        dist.destroy_process_group()


def test_two_processes_train_without_a_warning(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(
        steps_of_one_process, args=(str(tmp_path),), nprocs=2, start_method="forkserver"
    )
