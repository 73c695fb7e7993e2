"""The mutants of mutate.py: small changes that a test, or the proof card of a chapter, must notice."""

from dataclasses import dataclass

from _mutants_check import CHECKERS
from _mutants_experiments import EXPERIMENTS
from _mutants_imagenet import IMAGENET
from _mutants_maps import MAPS
from _mutants_train import TRAINING


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        name: what is changed.
        file: a file of the package or a chapter, relative to the root.
        old: text that stands there exactly once; in a chapter, in one of its code cells.
        new: what it becomes.
        tests: those of which one must fail; none for a chapter, whose proof card must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()


def changes(file: str, tests: str, *named: tuple[str, str, str]) -> list[Mutant]:
    """Changes of one file, each (name, old, new), that the same tests must notice; "" for a proof card."""
    return [Mutant(name, file, old, new, (f"tests/{tests}",) if tests else ()) for name, old, new in named]


WINDOWS = changes(
    "gcvit_edu/windows.py",
    "test_windows.py",
    ("order-of-the-windows", '(b nh nw) (wh ww) c", wh', '(nh nw b) (wh ww) c", wh'),
    ("order-of-the-tokens", '(b nh nw) (wh ww) c", wh', '(b nh nw) (ww wh) c", wh'),
    ("order-of-merging", '"(b nh nw) (wh ww) c -> b', '"(b nw nh) (wh ww) c -> b'),
    ("side-of-the-padding", "F.pad(x, (0, 0, 0, right, 0, bottom))", "F.pad(x, (0, 0, right, 0, bottom, 0))"),
    ("amount-of-padding", "-height % window, -width % window", "-width % window, -height % window"),
    ("mask-of-the-padding", "value=False", "value=True"),
) + changes(
    "gcvit_edu/windows.py",
    "test_reach.py",
    ("thin-windows-that-ask-the-first-cells", "F.adaptive_avg_pool2d(cells, (r, c))", "cells[:, :, :r, :c]"),
    ("maxima-for-thin-windows", "F.adaptive_avg_pool2d(cells", "F.adaptive_max_pool2d(cells"),
    ("height-and-width-of-a-thin-window", "(window, last_height) for c", "(window, last_width) for c"),
    ("thin-rows-and-columns", "2 * in_last_row[:, None] + in_last_column", "2 * in_last_column + in_last_row[:, None]"),
    ("heads-of-a-thin-window", "b (h d) y x -> b h (y x) d", "b (d h) y x -> b h (y x) d"),
)

POSITION = changes(
    "gcvit_edu/position.py",
    "test_position.py",
    ("rows-of-the-index", "return dy * (2 * window - 1) + dx", "return dy * (2 * window) + dx"),
    ("order-of-the-offsets", "return dy * (2 * window - 1) + dx", "return dx * (2 * window - 1) + dy"),
    ("sign-of-the-offset", "rows[:, None] - rows[None, :]", "rows[None, :] - rows[:, None]"),
    ("size-of-the-table", "torch.empty((2 * window - 1) ** 2", "torch.empty((2 * window + 1) ** 2"),
    ("query-and-key-of-the-bias", ".unflatten(1, self.index.shape)", ".unflatten(1, self.index.shape).mT"),
    ("layout-of-the-bias-gradient", 'table.flatten(), "(row h) -> h row", h', 'table, "row h -> h row", h'),
    ("saved-index", "persistent=False", "persistent=True"),
    ("corners-of-a-resized-table", "align_corners=True", "align_corners=False"),
) + changes(
    "gcvit_edu/position.py",
    "test_timm_parity.py::test_weights_of_224_pixels_in_a_model_for_256",
    ("interpolation-of-a-resized-table", 'mode="bicubic"', 'mode="bilinear"'),
)

ATTENTION = changes(
    "gcvit_edu/attention.py",
    "test_attention.py",
    ("scale", "** -0.5", "** -0.25"),
    ("scale-of-the-fused-kernel", "attn_mask=bias[None])", "attn_mask=bias[None], scale=1.0)"),
    ("sign-of-the-bias", "logits += bias", "logits -= bias"),
    ("direction-of-the-softmax", "softmax(dim=-1)", "softmax(dim=-2)"),
    ("weight-of-padded-keys", 'float("-inf")', "-10.0"),
    ("masked-queries", "real[:, None, None, :]", "real[:, None, :, None]"),
    ("windows-of-a-shared-query", "-1, -1, -1).flatten(0, 1)", "-1, -1, -1).transpose(0, 1).flatten(0, 1)"),
    ("heads-of-local-attention", "(three h d)", "(three d h)"),
    ("heads-of-global-attention", "(two h d)", "(two d h)"),
    ("order-of-q-and-k", "q, k, v = rearrange(qkv", "k, q, v = rearrange(qkv"),
) + (
    changes(
        "gcvit_edu/attention.py",
        "test_reach.py",
        ("queries-of-thin-windows", "if real is not None:\n            query", "if False:\n            query"),
        ("copies-for-whole-windows", "if real is not None:\n            query", "if True:\n            query"),
    )
    + changes(
        "gcvit_edu/attention.py",
        "test_export.py",
        ("batch-of-a-trace", "(q.shape[0] + (q.shape[0] == 0))", "max(1, int(q.shape[0]))"),
        ("kernel-of-a-trace", " and not torch.jit.is_tracing()", ""),
    )
    + changes(
        "gcvit_edu/inputs.py",
        "test_export.py",
        ("sizes-that-are-symbols", "_refuse_unknown_sizes(*shape[2:])", "pass"),
        ("sizes-in-strict-mode", "unknown = not (has_static_value(height) and has_static_value(width))", "pass"),
        ("height-that-is-a-symbol", "for side in (height, width))\n", "for side in (width,))\n"),
        ("padding-in-old-onnx", "torch.jit.is_tracing() and torch.onnx.is_in_onnx_export()", "False"),
    )
)

QUERY = changes(
    "gcvit_edu/query.py",
    "test_query.py",
    ("stride-of-the-pooling", "stride=2", "stride=1"),
    ("padding-of-the-pooling", "padding=1", "padding=0"),
    ("kernel-of-the-pooling", "kernel_size=3", "kernel_size=2"),
    ("number-of-mbconvs", "max(1, halvings)", "max(1, levels - 1)"),
    ("mbconv-without-halving", "max(1, halvings)", "max(0, levels)"),
    ("resizing-to-the-window", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    ("heads-of-the-query", "b (h d) y x", "b (d h) y x"),
    ("cells-of-the-query", "b h (y x) d", "b h (x y) d"),
)

GATE = "dim // 4, bias=False)\n        self.fc2 = nn.Linear(dim // 4"
LAYERS = changes(
    "gcvit_edu/layers.py",
    "test_layers.py",
    ("activation-of-the-mlp", "F.gelu(self.fc1(x))", 'F.gelu(self.fc1(x), approximate="tanh")'),
    ("squeezing", 'c").mean(1)', 'c").amax(1)'),
    ("layout-of-the-squeezed-gradient", 'rearrange(x, "b c h w -> b (h w) c").mean(1)', "x.mean((2, 3))"),
    ("bias-of-the-gate", "dim // 4, bias=False", "dim // 4, bias=True"),
    ("residual-of-the-mbconv", "return x + self.conv_pw(", "return self.conv_pw("),
    ("gates-of-each-image", "y * self.se(y)[", "y * self.se(y[:1])["),
    (
        "place-of-the-gates",
        "self.conv_pw(y * self.se(y)[:, :, None, None])",
        "self.conv_pw(y) * self.se(y)[:, :, None, None]",
    ),
    ("scaling-of-what-is-kept", "bernoulli_(keep) / keep", "bernoulli_(keep)"),
    ("probability-of-keeping", "keep = 1 - self.rate", "keep = self.rate"),
    ("dropping-whole-samples", "(x.shape[0],) + (1,) * (x.ndim - 1)", "x.shape"),
    ("largest-drop-rate", "0 <= rate < 1", "0 <= rate <= 1"),
) + changes("gcvit_edu/layers.py", "test_counting.py", ("width-of-the-gate", GATE, GATE.replace("4", "8")))

STEM = changes(
    "gcvit_edu/stem.py",
    "test_stem.py",
    ("stride-of-the-downsampler", "dim_out, kernel_size=3, stride=2", "dim_out, kernel_size=3, stride=1"),
    ("stride-of-the-stem", "dim, kernel_size=3, stride=2, padding=1)", "dim, kernel_size=3, stride=4, padding=1)"),
    ("bias-of-the-stem", "padding=1)", "padding=1, bias=False)"),
    ("bias-of-the-downsampler", "bias=False", "bias=True"),
)

MODEL = (
    changes(
        "gcvit_edu/model.py",
        "test_model.py::test_a_block_equals_loops_forward_and_backward",
        ("residual-of-the-attention", "x = x + self.drop_path1", "x = self.drop_path1"),
        ("residual-of-the-mlp", "return x + self.drop_path2", "return self.drop_path2"),
        ("norm-before-the-mlp", "self.mlp(self.norm2(x))", "self.mlp(self.norm1(x))"),
    )
    + changes(
        "gcvit_edu/model.py",
        "test_model.py::test_weights_start_as_described",
        ("deviation-of-linear-weights", "module.weight, std=0.02", "module.weight, std=0.03"),
        ("deviation-of-bias-tables", "module.table, std=0.02", "module.table, std=0.05"),
    )
    + changes(
        "gcvit_edu/model.py",
        "test_model.py::test_blocks_alternate_and_an_odd_stage_ends_on_a_local_block",
        ("which-blocks-are-global", "block % 2 == 1", "block % 2 == 0"),
    )
    + changes(
        "gcvit_edu/model.py",
        "test_model.py::test_drop_path_reaches_every_block",
        ("drop-path-of-the-blocks", "drop_path=rate", "drop_path=0.0"),
    )
    + changes(
        "gcvit_edu/model.py",
        "test_model.py::test_every_parameter_gets_a_gradient_in_training",
        ("last-norm", "return self.norm(x).permute", "return x.permute"),
    )
    + changes(
        "gcvit_edu/model.py",
        "test_model.py::test_no_classes_give_the_pooled_map",
        ("pooling", "x = x.mean((2, 3))", "x = x.amax((2, 3))"),
    )
    + changes(
        "gcvit_edu/timm_contract.py",
        "test_model.py::test_pruning_leaves_only_what_the_maps_need",
        ("channels-when-pruned", "dims[max(chosen)]", "dims[0]"),
    )
)

INPUTS = (
    changes(
        "gcvit_edu/inputs.py",
        "test_model.py::test_images_that_cannot_be_right_are_refused",
        ("largest-value", "LARGEST_NORMAL = 100", "LARGEST_NORMAL = 300"),
        ("colours-whose-values-are-seen", "config.in_chans == 3", "config.in_chans == 1"),
        ("dimensions-of-a-batch", "image.ndim != 4", "image.ndim < 4"),
    )
    + changes(
        "gcvit_edu/inputs.py",
        "test_model.py::test_normalised_images_are_not_refused",
        ("largest-value-too-small", "LARGEST_NORMAL = 100", "LARGEST_NORMAL = 25"),
    )
    + changes(
        "gcvit_edu/inputs.py",
        "test_inputs.py",
        ("pictures-of-16-bits", "LARGEST_OF_16_BITS = 65535", "LARGEST_OF_16_BITS = 255"),
        ("values-of-no-picture", "largest > LARGEST_OF_16_BITS:", "largest > 1e38:"),
        ("single-large-values", "sizes.mean() > 3", "sizes.mean() > 0"),
        ("dark-pictures", "sizes.equal(sizes.round())", "False"),
    )
)

CONFIG = changes(
    "gcvit_edu/config.py",
    "test_config.py",
    ("channels-of-the-stages", "self.embed_dim * 2**stage", "self.embed_dim * 3**stage"),
    ("stride-of-the-first-map", "STEM_STRIDE = 4", "STEM_STRIDE = 2"),
    ("rounding-of-the-maps", "math.ceil(self.image_size / stride)", "math.floor(self.image_size / stride)"),
    ("rounding-of-the-halvings", "round(math.log2(ratio))", "math.ceil(math.log2(ratio))"),
    ("rounding-of-resized-windows", "math.ceil(window * image_size", "math.floor(window * image_size"),
    ("kept-query-halvings", "query_halvings=self.halvings)", "query_levels=None)"),
    ("last-drop-path-rate", "last = sum(self.depths) - 1", "last = sum(self.depths)"),
    ("smallest-image", "MIN_IMAGE_SIZE = 32", "MIN_IMAGE_SIZE = 31"),
)

ZOO = (
    changes(
        "gcvit_edu/variants.py",
        "test_zoo.py::test_parameters_and_multiply_adds",
        ("depths-of-xxtiny", "(2, 2, 6, 2)", "(2, 2, 5, 2)"),
        ("mlp-ratio-of-small", "mlp_ratio=2.0", "mlp_ratio=3.0"),
    )
    + changes(
        "gcvit_edu/config.py",
        "test_zoo.py::test_parameters_and_multiply_adds",
        ("depths-of-tiny", "(3, 4, 19, 5)", "(3, 4, 18, 5)"),
    )
    + changes(
        "gcvit_edu/variants.py",
        "test_zoo.py::test_layer_scale_and_drop_path_of_the_paper",
        ("drop-path-of-small2", "drop_path_rate=0.35", "drop_path_rate=0.3"),
        ("layer-scale-of-small", "layer_scale=1e-5", "layer_scale=1e-6"),
        ("image-size-of-large", "_LARGE.resized(512)", "_LARGE.resized(448)"),
    )
    + changes(
        "gcvit_edu/variants.py",
        "test_zoo.py::test_nano_is_small_and_has_several_windows",
        ("heads-of-nano", "num_heads=(1, 2, 4, 8)", "num_heads=(2, 4, 8, 16)"),
        ("drop-path-of-nano", "drop_path_rate=0.1,", "drop_path_rate=0.2,"),
    )
    + changes(
        "gcvit_edu/timm_contract.py",
        "test_zoo.py::test_layers_run_from_the_stem_to_the_head",
        ("layer-of-the-last-norm", "(99999,)", "(0,)"),
    )
    + changes(
        "gcvit_edu/timm_registry.py",
        "test_zoo.py::test_timm_knows_how_pictures_are_prepared_and_where_the_ends_are",
        ("cropped-share", '"crop_pct": 0.875', '"crop_pct": 0.9'),
    )
)

REST = (
    changes(
        "gcvit_edu/weight_keys.py",
        "test_weights.py",
        ("first-mbconv-of-timm", "int(match[2]) - 1", "int(match[2])"),
        ("first-downsampler-of-nvidia", "int(match[1]) + 1", "int(match[1])"),
        ("projections-of-global-blocks", '"kv" if int(block) % 2 else "qkv"', '"qkv" if int(block) % 2 else "kv"'),
        ("window-of-a-table", "(side + 1) // 2", "side // 2"),
    )
    + changes(
        "gcvit_edu/weights.py",
        "test_weight_files.py",
        ("average-of-the-weights", "averages if use_ema and averages", "averages if averages and not others"),
        ("average-without-names", "if use_ema and not averages and (unnamed", "if not others and (unnamed"),
        ("weights-that-nothing-tells-apart", "if len(wanted) != 1:", "if not wanted:"),
        ("safetensors-of-another-name", 'begin[8:] == b"{" or', "False or"),
        ("code-in-a-file", "weights_only=True", "weights_only=False"),
    )
    + changes(
        "gcvit_edu/weight_keys.py",
        "test_weight_files.py",
        ("average-as-the-state-dict", "if mmengine or lightning:", "if mmengine:"),
        ("words-in-one-name", "[A-Z]+(?![a-z])|", ""),
    )
    + changes(
        "gcvit_edu/timm_registry.py",
        "test_timm_loading.py",
        ("shipped-file-before-an-address", '{"file": None, **dict', "{**dict"),
        ("shipped-labels-at-an-address", ", **dict.fromkeys(_OF_SHIPPED), **given", ", **given"),
        ("labels-of-other-weights", '("tag", "label_names", "label_descriptions", "license", "description")', "()"),
        ("classes-of-a-file", 'len(weights.get("head.weight", ()))', "cfg.num_classes"),
        ("crop-of-the-shipped-weights", '"crop_pct": 1.0', '"crop_pct": 0.875'),
        ("norm-of-the-last-map", '"norm": True', '"norm": False'),
        ("size-of-the-pictures", "(cfg.input_size[0], config.image_size, config.image_size)", "cfg.input_size"),
        ("half-precision-of-summed-channels", ".float()  # timm adds", "  # timm adds"),
    )
    + changes(
        "gcvit_edu/timm_contract.py",
        "test_timm_loading.py",
        ("mean-and-maximum", "(mean + largest) / 2", "mean + largest"),
        ("order-of-mean-and-maximum", "torch.cat([mean, largest]", "torch.cat([largest, mean]"),
    )
    + changes(
        "gcvit_edu/counting.py",
        "test_counting.py",
        ("operations-per-multiply-add", "// 2", "// 1"),
    )
    + changes(
        "gcvit_edu/capture.py",
        "test_capture.py",
        ("windows-of-an-image", '"(b n) h q k -> b n h q k"', '"(n b) h q k -> b n h q k"'),
        ("rounding-of-the-grid", "-(-side // attn.window)", "side // attn.window"),
    )
    + changes(
        "gcvit_edu/data/transforms.py",
        "test_data.py",
        ("mean-of-the-pictures", "0.485", "0.5"),
        ("resizing-of-pictures", "Resampling.BICUBIC", "Resampling.BILINEAR"),
    )
)

DATA = (
    changes(
        "gcvit_edu/data/emoji.py",
        "test_emoji.py",
        ("held-out-vendor", "vendor == holdout)", "vendor != holdout)"),
        ("held-out-emoji", 'entry["split"] == "test" if', 'entry["split"] == "train" if'),
        ("colour-behind-an-emoji", "(*colour, 255)", "(255, *colour)"),
    )
    + changes(
        "gcvit_edu/data/compose.py",
        "test_scenes.py",
        ("rounding-of-the-blend", "+ 127) // 255", "+ 255) // 255"),
        ("edge-of-the-mask", "[..., 0] > 127", "[..., 0] > 0"),
        ("highest-of-a-range", "high - low + 1", "high - low"),
    )
    + changes(
        "gcvit_edu/data/scenes.py",
        "test_scenes.py",
        ("covered-pixels", "masks & ~mask", "masks"),
        ("last-pixel-of-a-box", "boxes[:, 2:] += 1", "boxes[:, 2:] += 0"),
        ("overlap-of-emoji", "4 * _overlap", "0 * _overlap"),
        ("balance-of-a-four", "(a, other_b), (b, other_a))", "(a, other_b), (b, b))"),
        ("label-of-a-pair", "int(index % 4 < 2)", "int(index % 2)"),
        ("distance-of-a-pair", "(along, along + self.distance)", "(along, along + self.distance - 1)"),
        ("classes-of-a-pair", "first + 1 + draws", "first + draws"),
    )
    + changes(
        "gcvit_edu/data/augment.py",
        "test_augment.py",
        ("epoch-of-the-randomness", "int(self._epoch), index", "0, index"),
        ("state-of-numpy-afterwards", "np.random.set_state(before[1])", "pass"),
        ("epoch-in-the-workers", ".share_memory_()", ""),
    )
)

# The proof card at the end of a chapter compares what was built with the package, other libraries and loops.
IN_CHAPTERS = changes(
    "book/02_why_global_context.ipynb",
    "",
    ("chapter-2-roles-of-q-and-k", "attend_explicit(q, k, v, no_bias)", "attend_explicit(k, q, v, no_bias)"),
) + changes(
    "book/05_window_attention.ipynb",
    "",
    ("chapter-5-order-of-the-windows", "-> (b nh nw) (wh ww) c", "-> (nh nw b) (wh ww) c"),
    ("chapter-5-sign-of-the-offset", "rows[:, None] - rows[None, :]", "rows[None, :] - rows[:, None]"),
    ("chapter-5-rows-of-the-index", "return dy * (2 * window - 1) + dx", "return dy * (window + 1) + dx"),
    (
        "chapter-5-query-and-key-of-the-bias",
        "            1, self.index.shape\n        )",
        "            1, self.index.shape\n        ).mT",
    ),
    (
        "chapter-5-heads-side-by-side",
        'self.proj(rearrange(x, "n h t d -> n t (h d)',
        'self.proj(rearrange(x, "n h t d -> n t (d h)',
    ),
    (
        "chapter-5-roles-of-q-and-k",
        "self.attend(q, k, v, self.bias(), real)",
        "self.attend(k, q, v, self.bias(), real)",
    ),
)

LATER_CHAPTERS = (
    changes(
        "book/03_patch_stem.ipynb",
        "",
        ("chapter-3-number-of-mbconvs", "self.conv(self.mbconv(x))", "self.conv(self.mbconv(self.mbconv(x)))"),
        ("chapter-3-zeros-of-the-padding", "F.pad(x, (1, 1, 1, 1))", "F.pad(x, (1, 1, 1, 1), value=1.0)"),
    )
    + changes(
        "book/04_fused_mbconv.ipynb",
        "",
        ("chapter-4-residual", "return x + self.conv_pw(y * self.se", "return self.conv_pw(y * self.se"),
        ("chapter-4-gates-of-each-image", "self.conv_pw(y * self.se(y)[", "self.conv_pw(y * self.se(y[:1])["),
        ("chapter-4-squeezing", 'c").mean(1)  #', 'c").amax(1)  #'),
    )
    + changes(
        "book/06_global_query.ipynb",
        "",
        ("chapter-6-heads-of-the-query", '-> b h (y x) d", h=self', '-> b h (x y) d", h=self'),
        ("chapter-6-roles-of-k-and-v", "self.attend(query, k, v", "self.attend(query, v, k"),
    )
    + changes(
        "book/07_blocks_and_stages.ipynb",
        "",
        ("chapter-7-scale-of-the-attention", "self.drop_path1(self.ls1(y))", "self.drop_path1(self.ls2(y))"),
        ("chapter-7-residual-of-the-mlp", "return x + self.drop_path2(", "return self.drop_path2("),
    )
    + changes(
        "book/08_whole_model.ipynb",
        "",
        ("chapter-8-pooling", "x = x.mean((2, 3))", "x = x.amax((2, 3))"),
    )
    + changes(
        "book/09_any_image_size.ipynb",
        "",
        ("chapter-9-mask-of-the-padding", "bottom), value=False)", "bottom), value=True)"),
    )
)

ROWS = "test_every_row_sums_to_one_and_every_share_is_right"
PICTURES = "test_transparent_and_turned_pictures"
WHOLE = "test_a_page_is_written_whole_or_not_at_all"
# (name, file in gcvit_edu, text, what it becomes, test of test_explorer.py)
EXPLORER = [
    Mutant(name, f"gcvit_edu/{file}", old, new, (f"tests/test_explorer.py::{test}",))
    for name, file, old, new, test in (
        (
            "rows-rounded-one-by-one",
            "explorer/quantise.py",
            "whole += rank < left_over",
            "whole = np.rint(shares * totals)",
            ROWS,
        ),
        (
            "remainders-in-the-wrong-order",
            "explorer/quantise.py",
            "argsort(whole - shares * totals",
            "argsort(shares * totals - whole",
            ROWS,
        ),
        ("coarse-rows", "explorer/quantise.py", "np.floor(LEVELS / shares.max(-1, keepdims=True))", "LEVELS", ROWS),
        (
            "head-of-a-mean-map",
            "explorer/pack.py",
            "window_means(record)[0]",
            "window_means(record, 0)[0]",
            "test_mean_maps_by_loops",
        ),
        (
            "heads-for-every-block",
            "explorer/pack.py",
            "if extra[place] <= left:",
            "if True:",
            "test_the_limit_holds_to_the_byte",
        ),
        ("script-that-data-closes", "explorer/markup.py", '.replace("<", "\\\\u003c")', "", "test_a_title_is_text"),
        (
            "model-left-in-eval-mode",
            "explorer/page.py",
            "module.training = training",
            "pass",
            "test_the_model_is_left_as_it_was",
        ),
        ("picture-not-turned", "data/transforms.py", "orientation_of(image) if turn else 1", "1", PICTURES),
        ("black-behind-a-picture", "data/transforms.py", 'image.size, "white"', 'image.size, "black"', PICTURES),
        ("page-written-in-place", "explorer/page.py", "whole_file(Path(path))", 'Path(path).open("wb")', WHOLE),
    )
]

TIMELINE = changes(
    "gcvit_edu/explorer/timeline.py",
    "test_timeline.py",
    ("end-of-a-timelines-scale", "RARE = 0.01", "RARE = 0.04"),
    ("maps-without-a-scale", "and maps.any()", ""),
)

MUTANTS = (
    *(
        mutant
        for file, tests, *named in (*TRAINING, *EXPERIMENTS, *IMAGENET, *MAPS, *CHECKERS)
        for mutant in changes(file, tests, *named)
    ),
    *WINDOWS,
    *POSITION,
    *ATTENTION,
    *QUERY,
    *LAYERS,
    *STEM,
    *MODEL,
    *INPUTS,
    *CONFIG,
    *ZOO,
    *REST,
    *DATA,
    *IN_CHAPTERS,
    *LATER_CHAPTERS,
    *EXPLORER,
    *TIMELINE,
)
