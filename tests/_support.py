"""What several tests share: small models, large random weights, comparisons, and slow but obvious versions."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.config import GCViTConfig
from gcvit_edu.layers import SqueezeExcite
from gcvit_edu.model import Block, GCViT
from gcvit_edu.query import GlobalQueryGenerator


def small_config(**changes: object) -> GCViTConfig:
    """Four stages of 16 to 128 channels at 64 pixels; the first two stages have several windows."""
    numbers: dict[str, object] = {
        "embed_dim": 16,
        "depths": (3, 2, 3, 2),
        "num_heads": (1, 2, 2, 4),
        "window_sizes": (4, 4, 4, 2),
        "drop_path_rate": 0.0,
        "image_size": 64,
        "num_classes": 5,
    }
    return GCViTConfig(**{**numbers, **changes})


def small_model(seed: int = 0, **changes: object) -> GCViT:
    """A small model in eval mode, with weights that matter."""
    model = GCViT(small_config(**changes)).eval()
    enlarge_weights(model, seed)
    return model


def images(batch: int, *size: int, seed: int = 0, chans: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    """(batch, chans, H, W) of noise, coarse and fine, so that images differ as wholes; one size for a square."""
    height, width = size if len(size) == 2 else (size[0], size[0])
    generator = torch.Generator().manual_seed(1000 + seed)
    fine = torch.randn(batch, chans, height, width, generator=generator, dtype=dtype)
    coarse = torch.randn(batch, chans, 2, 2, generator=generator, dtype=dtype)
    return fine + nn.functional.interpolate(coarse, size=(height, width), mode="nearest")


def calls_of_modules(model: nn.Module, x: Tensor) -> Counter[str]:
    """How often the forward hook of each module with parameters of its own runs in one forward pass."""
    found: Counter[str] = Counter()
    hooks = []
    for name, module in model.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            found[name] = 0
            hooks.append(module.register_forward_hook(lambda *_, name=name: found.update([name])))
    model(x)
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def enlarge_weights(model: nn.Module, seed: int = 0) -> None:
    """Random weights so large that every part of the model shows in its output.

    Matrices keep a deviation of about 1 from input to output (fan-in), bias tables have deviation 1, and norms,
    layer scales and biases are moved away from 1 and 0. Freshly initialised weights would hide most mistakes.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
        if name.endswith("table"):
            value = noise
        elif parameter.ndim > 1:
            value = noise / math.sqrt(parameter[0].numel())
        elif name.endswith("bias"):
            value = 0.2 * noise
        else:
            value = 1 + 0.2 * noise
        parameter.copy_(value)


def error_of(found: Tensor, expected: Tensor) -> float:
    """Largest difference, as a share of the standard deviation of what was expected."""
    assert found.shape == expected.shape, f"{tuple(found.shape)} is not {tuple(expected.shape)}"
    return ((found - expected).abs().max() / expected.std()).item()


def peak_error_of(found: Tensor, expected: Tensor) -> float:
    """Largest difference, as a share of the largest value expected."""
    assert found.shape == expected.shape, f"{tuple(found.shape)} is not {tuple(expected.shape)}"
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30)).item()


def gradients(model: nn.Module, x: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Gradient of every parameter for a random mix of the outputs; leaves the model without any."""
    out = model(x)
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(out.shape, generator=generator, dtype=out.dtype)
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad((out * mix).sum(), parameters), strict=True))


def check_batch_invariance(model: nn.Module, x: Tensor, tolerance: float = 1e-5) -> None:
    """An image's output does not depend on which images it is batched with."""
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(image[None]) for image in x])
    error = error_of(together, alone)
    assert error < tolerance, f"outputs differ by {error:.1e} of their deviation between batched and alone"


def check_permutation(model: nn.Module, x: Tensor, tolerance: float = 1e-5) -> None:
    """Images in another order give the same outputs in that order."""
    order = [1, 0, *range(2, len(x))]  # not a rotation, which a query tiled over the windows may survive
    with torch.no_grad():
        error = error_of(model(x[order]), model(x)[order])
    assert error < tolerance, f"outputs differ by {error:.1e} of their deviation after a permutation"


def check_equal_outputs(model: nn.Module, other: nn.Module, x: Tensor, tolerance: float = 1e-5) -> None:
    """Two models agree on x."""
    with torch.no_grad():
        error = error_of(model(x), other(x))
    assert error < tolerance, f"outputs differ by {error:.1e} of their deviation"


def check_equal_gradients(
    ours: nn.Module, theirs: nn.Module, x: Tensor, rename: Callable[[dict], dict], tolerance: float = 1e-9
) -> None:
    """Every parameter's gradient agrees, as a share of its largest entry; rename maps their names to ours.

    In float64, or in float32 with the same winners of max-pools in both: else rounding now and then decides which cell
    wins, and a gradient goes astray.
    """
    if x.dtype == torch.float64:
        found, expected = gradients(ours, x), rename(gradients(theirs, x))
    else:
        winners: list[Tensor] = []
        with patch.object(F, "max_pool2d", partial(_remembering_pool, F.max_pool2d, winners)):
            expected = rename(gradients(theirs, x))
        with patch.object(F, "max_pool2d", partial(_told_pool, F.max_pool2d, iter(winners))):
            found = gradients(ours, x)
    assert found.keys() == expected.keys()
    errors = {name: peak_error_of(found[name], expected[name]) for name in found}
    worst = max(errors, key=errors.get)
    assert errors[worst] < tolerance, f"the gradient of {worst} differs by {errors[worst]:.1e} of its scale"


def _remembering_pool(pool: Callable[..., Any], winners: list[Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The max-pool, and where its maxima lie."""
    kwargs["return_indices"] = True
    out, places = pool(x, *args, **kwargs)
    winners.append(places)
    return out


def _told_pool(pool: Callable[..., Any], winners: Iterator[Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A max-pool that takes the cells it is told, which must be maxima but for rounding."""
    places = next(winners)
    told = x.flatten(2).gather(2, places.flatten(2)).view(places.shape)
    assert error_of(told, pool(x, *args, **kwargs)) < 1e-5, "not the same maxima"
    return told


# --- Who hears of whom ---


def blocks_and_query(window: int, halvings: int) -> tuple[list[Block], GlobalQueryGenerator]:
    """A local, a global and a local block of 8 channels, and a query generator without gates, in float64."""
    generator = GlobalQueryGenerator(8, 2, window, halvings).double()
    blocks = [Block(8, 2, window, use_global=use_global).double() for use_global in (False, True, False)]
    for seed, module in enumerate((generator, *blocks)):
        enlarge_weights(module, seed)
    for module in generator.modules():
        if isinstance(module, SqueezeExcite):  # through a gate everything hears of everything a little
            module.register_forward_hook(lambda _, __, gates: torch.ones_like(gates))
    return blocks, generator


@torch.no_grad()
def reach(height: int, width: int, window: int) -> Tensor:
    """(tokens, tokens) booleans: whether a change of one token shows in another after local, global and local block."""
    halvings = max(0, round(math.log2(min(height, width) / window)))
    blocks, generator = blocks_and_query(window, halvings)
    tokens = height * width
    noise = torch.Generator().manual_seed(0)
    x = torch.randn(1, height, width, 8, generator=noise, dtype=torch.float64).repeat(tokens + 1, 1, 1, 1)
    own = torch.arange(tokens)
    x[own, own // width, own % width] = 3 * torch.randn(tokens, 8, generator=noise, dtype=torch.float64)
    query = generator(x)
    for block in blocks:
        x = block(x, query)
    # The last image is unchanged. Rounding alone may differ from image to image of a batch.
    return ((x[:-1] - x[-1]).abs() > 1e-12).any(-1).flatten(1)


# --- Slow and obvious versions: one image, one window, one head, one token at a time ---


def loop_gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def loop_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * norm.weight + norm.bias


def neighbours(y: int, x: int, height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """The real cells of the 3x3 around (y, x): where they are, and which of the 3x3 they are."""
    for dy in range(3):
        for dx in range(3):
            if 0 <= y + dy - 1 < height and 0 <= x + dx - 1 < width:
                yield y + dy - 1, x + dx - 1, dy, dx


def loop_mbconv(mbconv: nn.Module, x: Tensor) -> Tensor:
    """(C, H, W) -> (C, H, W)."""
    _, height, width = x.shape
    kernel = mbconv.conv_dw.weight[:, 0]
    rows = []
    for y in range(height):
        cells = []
        for z in range(width):
            around = neighbours(y, z, height, width)
            cells.append(sum(kernel[:, dy, dx] * x[:, i, j] for i, j, dy, dx in around))
        rows.append(torch.stack(cells, dim=1))
    out = loop_gelu(torch.stack(rows, dim=1))
    gate = torch.sigmoid(mbconv.se.fc2.weight @ loop_gelu(mbconv.se.fc1.weight @ out.mean((1, 2))))
    out = gate[:, None, None] * out
    return x + torch.einsum("oc,cyx->oyx", mbconv.conv_pw.weight[:, :, 0, 0], out)


def loop_max_pool(x: Tensor) -> Tensor:
    """(C, H, W) -> (C, ceil(H/2), ceil(W/2)): the largest real value around every second cell."""
    _, height, width = x.shape
    rows = []
    for y in range(0, height, 2):
        cells = []
        for z in range(0, width, 2):
            around = [x[:, i, j] for i, j, _, _ in neighbours(y, z, height, width)]
            cells.append(torch.stack(around).amax(0))
        rows.append(torch.stack(cells, dim=1))
    return torch.stack(rows, dim=1)


def loop_query(generator: nn.Module, x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, heads, T, d), for maps that end as one window."""
    queries = []
    for image in x:
        picture = image.permute(2, 0, 1)
        for mbconv in generator.mbconvs:
            picture = loop_mbconv(mbconv, picture)
            if generator.halvings:
                picture = loop_max_pool(picture)
        assert picture.shape[1:] == (generator.window, generator.window)
        d = picture.shape[0] // generator.num_heads
        heads = [picture[head * d : (head + 1) * d] for head in range(generator.num_heads)]
        cells = [(y, z) for y in range(generator.window) for z in range(generator.window)]
        queries.append(torch.stack([torch.stack([head[:, y, z] for y, z in cells]) for head in heads]))
    return torch.stack(queries)


def loop_question(query: Tensor, window: int, i: int, j: int, rows: int, columns: int) -> Tensor:
    """(T, d) -> (d,): what token (i, j) asks in a window with rows x columns real tokens: the mean of its share."""
    covered = [
        query[y * window + x]
        for y in range(window)
        for x in range(window)
        if y * rows < (i + 1) * window
        and (y + 1) * rows > i * window
        and x * columns < (j + 1) * window
        and (x + 1) * columns > j * window
    ]
    return torch.stack(covered).mean(0)


def loop_attention(attn: nn.Module, x: Tensor, query: Tensor | None = None) -> Tensor:
    """(B, H, W, C) -> (B, H, W, C); the last windows of a row or column may be smaller than the others.

    A smaller window asks with means of the query: its tokens share the whole query between them.
    """
    _, height, width, dim = x.shape
    w, heads, d = attn.window, attn.num_heads, dim // attn.num_heads
    project = attn.qkv if query is None else attn.kv
    out = torch.zeros_like(x)
    for b, top, left in [(b, y, z) for b in range(len(x)) for y in range(0, height, w) for z in range(0, width, w)]:
        cells = [(i, j) for i in range(w) for j in range(w) if top + i < height and left + j < width]
        size = (min(w, height - top), min(w, width - left))
        parts = {cell: project(x[b, top + cell[0], left + cell[1]]).unflatten(0, (-1, heads, d)) for cell in cells}
        for head in range(heads):
            keys = torch.stack([parts[cell][-2, head] for cell in cells])
            values = torch.stack([parts[cell][-1, head] for cell in cells])
            for i, j in cells:
                q = parts[i, j][0, head] if query is None else loop_question(query[b, head], w, i, j, *size)
                rows = [(i - y + w - 1) * (2 * w - 1) + (j - z + w - 1) for y, z in cells]
                logits = keys @ q / math.sqrt(d) + torch.stack([attn.bias.table[row, head] for row in rows])
                out[b, top + i, left + j, head * d : (head + 1) * d] = torch.softmax(logits, 0) @ values
    return out @ attn.proj.weight.T + attn.proj.bias


def loop_block(block: nn.Module, x: Tensor, query: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, H, W, C), without drop path."""
    y = loop_attention(block.attn, loop_norm(block.norm1, x), query if block.use_global else None)
    x = x + (y * block.ls1.gamma if hasattr(block.ls1, "gamma") else y)
    hidden = loop_gelu(loop_norm(block.norm2, x) @ block.mlp.fc1.weight.T + block.mlp.fc1.bias)
    y = hidden @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
    return x + (y * block.ls2.gamma if hasattr(block.ls2, "gamma") else y)
