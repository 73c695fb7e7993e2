"""Maps from one block's recorded attention: the attention that each key gets, on average over the queries."""

from torch import Tensor

from gcvit_edu.capture import AttentionRecord
from gcvit_edu.maps.layout import real_tokens, windows_to_map


def column_mean(record: AttentionRecord, head: int | None = None) -> Tensor:
    """(B, H, W): the mean of the columns of a global block whose one window covers the map. It sums to one.

    What it means: the cells of the global query stand for parts of the whole image, and here the keys are all tokens of
    the map. So a number is the share that a token gets of the attention of all cells, with equal weight for each. It is
    the only map of a global block whose numbers the network itself compares with each other over the whole image.

    What it does not mean: that the token matters for the class. Values, the MLPs and the later blocks are left out,
    and at this depth a token holds much of its surroundings. It does not show which cell attends: apart from the bias,
    it stays the same when the cells of the query change places. It contains the relative position bias, which is the
    same for every image. If the window is padded, the query is pooled to the window's real part, and only its cells
    count.

    Args:
        record: of a global block, from capture_attention.
        head: one head, or None for the mean of all.

    Raises:
        ValueError: for a local block, several windows, or a head that is not there.
    """
    name = f"block {record.block} of stage {record.stage}"
    if not record.is_global:
        raise ValueError(f"{name} is local and has no global query; choose a record whose is_global is True")
    if record.grid != (1, 1):
        raise ValueError(
            f"the map of {name} is cut into {record.grid[0]}x{record.grid[1]} windows, each with a softmax of its own, "
            "so its column mean is no map of the image; choose a later stage, a smaller image, "
            "or the method 'windows' or 'unwindowed'"
        )
    return window_means(record, head)


def window_means(record: AttentionRecord, head: int | None = None) -> Tensor:
    """(B, H, W): the column mean of each window, put back together. Each window sums to one, whatever its content.

    What it means: the share of attention that each token of a window gets within it, averaged over the queries: the
    window's own tokens in a local block, the cells of the global query in a global one.

    What it does not mean: numbers of different windows are not comparable. A window of plain sky has the same total as
    one that holds the object, so a bright token may only be the least dull of a dull window, and the edges of windows
    show as seams. A window that is cut by the map's edge divides its total among fewer tokens. Otherwise it leaves out
    the same as column_mean.

    Args:
        record: of any block, from capture_attention.
        head: one head, or None for the mean of all.

    Raises:
        ValueError: for a head that is not there.
    """
    weights = of_head(record.weights, head)  # (B, N, T, T)
    # Padded queries are left out.
    real = real_tokens(record.window, record.map_size, weights.device).to(weights.dtype)
    means = (weights * real[None, :, :, None]).sum(2) / real.sum(-1)[None, :, None]
    return windows_to_map(means, record.window, record.map_size, record.shift)


def of_head(values: Tensor, head: int | None) -> Tensor:
    """(B, N, h, ...) -> (B, N, ...): one head, or the mean of all.

    Raises:
        ValueError: for a head that is not there.
    """
    heads = values.shape[2]
    if head is None:
        return values.mean(2)
    if not 0 <= head < heads:
        raise ValueError(f"there is no head={head}; this block has {heads}, numbered from 0, and None is their mean")
    return values[:, :, head]
