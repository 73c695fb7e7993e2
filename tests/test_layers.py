"""The small parts, each against the plain arithmetic it stands for."""

import pytest
import torch
from _support import enlarge_weights, loop_gelu, loop_mbconv
from torch.nn import functional as F

from gcvit_edu.layers import DropPath, FusedMBConv, LayerScale, Mlp, SqueezeExcite


def test_mlp_equals_two_matrix_products_per_token() -> None:
    mlp = Mlp(6, 10).double()
    enlarge_weights(mlp)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = mlp(x)
    token = x[1, 2, 3]
    expected = mlp.fc2.weight @ loop_gelu(mlp.fc1.weight @ token + mlp.fc1.bias) + mlp.fc2.bias
    torch.testing.assert_close(out[1, 2, 3], expected)
    assert out.shape == x.shape


def test_squeeze_excite_gives_each_channel_one_gate() -> None:
    se = SqueezeExcite(8).double()
    enlarge_weights(se)
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gates = se(x)
    assert gates.shape == (2, 8)
    for image in range(2):
        means = [x[image, channel].sum() / 15 for channel in range(8)]
        hidden = [loop_gelu(sum(w * m for w, m in zip(row, means, strict=True))) for row in se.fc1.weight]
        for channel in range(8):
            gate = 1 / (1 + torch.exp(-sum(w * h for w, h in zip(se.fc2.weight[channel], hidden, strict=True))))
            torch.testing.assert_close(gates[image, channel], gate)
    assert [name for name, _ in se.named_parameters()] == ["fc1.weight", "fc2.weight"]


def test_squeeze_excite_gives_a_gradient_laid_out_like_the_map() -> None:
    # Another layout makes everything slower that uses the gradient together with the map.
    x = torch.randn(2, 8, 3, 5).to(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(SqueezeExcite(8)(x).sum(), x)
    assert gradient.stride() == x.stride()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_fused_mbconv_equals_loops(layout: torch.memory_format) -> None:
    mbconv = FusedMBConv(8).double()
    enlarge_weights(mbconv)
    x = torch.randn(2, 8, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([loop_mbconv(mbconv, image) for image in x])
    torch.testing.assert_close(mbconv(x.contiguous(memory_format=layout)), expected)


def test_fused_mbconv_gates_each_image_by_itself() -> None:
    mbconv = FusedMBConv(8).double()
    enlarge_weights(mbconv)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 8, 6, 5, dtype=torch.float64, generator=generator)
    x = x + 8 * torch.randn(3, 8, 1, 1, dtype=torch.float64, generator=generator)  # so that the gates are far apart
    gates = mbconv.se(F.gelu(mbconv.conv_dw(x)))
    assert (gates - gates.roll(1, dims=0)).abs().amax(1).min() > 0.05, "some images have nearly the same gates"
    torch.testing.assert_close(mbconv(x), torch.cat([mbconv(image[None]) for image in x]))


def test_fused_mbconv_has_neither_biases_nor_norms() -> None:
    names = [name for name, _ in FusedMBConv(8).named_parameters()]
    assert names == ["conv_dw.weight", "se.fc1.weight", "se.fc2.weight", "conv_pw.weight"]


def test_fused_mbconv_leaves_its_input_alone() -> None:
    x = torch.randn(1, 8, 4, 4)
    before = x.clone()
    FusedMBConv(8)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_drop_path_does_nothing_in_eval(rate: float) -> None:
    x = torch.randn(4, 3)
    assert DropPath(rate).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_drop_path_refuses_what_is_no_rate(rate: float) -> None:
    with pytest.raises(ValueError, match=f"rate={rate} must be at least 0 and below 1"):
        DropPath(rate)


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    out = DropPath(0.25).train()(torch.ones(4000, 2, 3))
    per_sample = out.flatten(1)
    assert torch.all(per_sample == per_sample[:, :1]), "a sample was dropped in part"
    torch.testing.assert_close(per_sample[:, 0].unique(), torch.tensor([0, 1 / 0.75]))
    assert out.mean().item() == pytest.approx(1, abs=0.03)
    assert (per_sample[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_drop_path_leaves_its_input_alone_and_passes_gradients() -> None:
    torch.manual_seed(0)
    x = torch.ones(8, 2, requires_grad=True)
    out = DropPath(0.5).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
    assert torch.all(x == 1)


def test_a_whole_number_is_a_layer_scale() -> None:
    assert LayerScale(3, 1).gamma.dtype == torch.float32


def test_drop_path_prints_its_rate() -> None:
    assert repr(DropPath(0.1)) == "DropPath(rate=0.100)"


def test_layer_scale_multiplies_each_channel() -> None:
    scale = LayerScale(3, 1e-5)
    assert scale.gamma.tolist() == pytest.approx([1e-5] * 3)
    with torch.no_grad():
        scale.gamma.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert scale(torch.ones(1, 2, 2, 3))[0, 1, 1].tolist() == [1, 2, 3]
