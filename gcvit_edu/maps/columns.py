"""Maps from one block's recorded attention: how much its keys are looked at, on average over the queries."""

from torch import Tensor

from gcvit_edu.capture import AttentionRecord
from gcvit_edu.maps.layout import real_tokens, windows_to_map


def column_mean(record: AttentionRecord, head: int | None = None) -> Tensor:
    """(B, H, W): the mean of the columns of a global block whose one window covers the map. It sums to one.

    What it means: the cells of the global query stand for parts of the whole image, and here the keys are all tokens
    of the map, so a number says how much of the attention of all cells, each counted alike, a token gets. It is the
    only map of a global block whose numbers the network itself has set against each other over the whole image.

    What it does not mean: that the token matters for the class. Values, the MLPs and the later blocks are left out,
    and by then a token holds much of its surroundings. It does not say who asks: but for the bias, it is the same
    when the cells of the query change places. The relative position bias is in it, which says the same for every
    image. Where the window is padded, the query is pooled to the window's real part, and only its cells count.

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
    """(B, H, W): the column mean of each window, put back together. Each window sums to one, whatever it shows.

    What it means: within a window, how much of the attention its tokens get, averaged over the queries: the window's
    own tokens in a local block, the cells of the global query in a global one.

    What it does not mean: numbers of different windows are not comparable. A window of plain sky shares out the same
    total as one that holds the object, so a bright token may only be the least dull of a dull window, and the edges
    of windows show as seams. A window that is cut short by the map's edge shares its total among fewer tokens.
    Otherwise what column_mean leaves out is left out here.

    Args:
        record: of any block, from capture_attention.
        head: one head, or None for the mean of all.

    Raises:
        ValueError: for a head that is not there.
    """
    weights = of_head(record.weights, head)  # (B, N, T, T)
    # The answers to what padding asks are cut off.
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
