"""The mutants of the maps and of their judge, as (file, tests, changes), each change (name, old, new)."""

OF_MAPS = (
    (
        "gcvit_edu/capture.py",
        "test_capture.py::test_a_logit_has_a_gradient_by_the_recorded_weights",
        ("outputs-from-the-record", "return weights.flatten(0, 1) @ v", "return _"),
    ),
    (
        "gcvit_edu/maps/layout.py",
        "test_maps.py::test_putting_windows_back_is_the_inverse_of_cutting",
        ("order-of-windows-in-a-map", '"b n t -> (b n) t 1"', '"b n t -> (n b) t 1"'),
        ("padding-of-a-map", "side + -side % window", "side + side % window"),
        ("cropping-of-a-map", "[:, : map_size[0], : map_size[1], 0]", "[:, -map_size[0] :, -map_size[1] :, 0]"),
    ),
    (
        "gcvit_edu/maps/layout.py",
        "test_maps.py::test_pixels_of_tokens",
        ("interpolation-between-tokens", 'if smooth else "nearest-exact"', 'if not smooth else "nearest-exact"'),
        ("cropping-of-pixels", "[:, 0, : image_size[0], : image_size[1]]", "[:, 0]"),
    ),
    (
        "gcvit_edu/maps/columns.py",
        "test_maps_loops.py::test_column_mean_equals_loops",
        ("rows-for-columns", ".sum(2) / real.sum(-1)", ".sum(3) / real.sum(-1)"),
    ),
    (
        "gcvit_edu/maps/columns.py",
        "test_maps_loops.py::test_window_means_equal_loops",
        ("padding-that-asks", "real[None, :, :, None]).sum(2)", "real[None, :, None, :]).sum(2)"),
        ("queries-of-a-short-window", "/ real.sum(-1)[None, :, None]", "/ real.shape[1]"),
    ),
    (
        "gcvit_edu/maps/columns.py",
        "test_maps.py::test_what_cannot_be_is_refused",
        ("several-windows-of-a-column", "record.grid != (1, 1)", "record.grid == (0, 0)"),
        ("heads-numbered-backwards", "0 <= head < heads", "head < heads"),
    ),
    (
        "gcvit_edu/maps/whole_map.py",
        "test_maps_loops.py::test_unwindowed_equals_loops",
        ("softmax-over-the-map", "logits.flatten(3).softmax(-1).view_as(logits)", "logits.softmax(-1)"),
        ("scale-of-unwindowed-logits", "queries.shape[-1] ** -0.5", "queries.shape[-1] ** -0.25"),
        ("padded-keys-of-the-map", 'masked_fill(~real, float("-inf"))', "masked_fill(~real, -5.0)"),
        ("bias-of-unwindowed-logits", "logits = logits + bias[None, :, :, None, :]", "logits = logits + 0"),
        ("bias-that-is-asked-for", "questions.bias if bias else None", "questions.bias"),
        ("bias-of-real-queries", "added[:, real[place]]", "added[:, : queries.shape[2]]"),
        ("queries-that-asked", "asking += queries.shape[2]", "asking += 1"),
        ("query-of-short-windows", "if any(side % attn.window for side in map_size):", "if False:"),
    ),
    (
        "gcvit_edu/maps/flow.py",
        "test_maps_loops.py::test_rollout_equals_the_product_of_whole_matrices",
        ("residual-of-the-rollout", "0.5 * share + 0.5 * windows", "0.4 * share + 0.6 * windows"),
        ("direction-of-the-rollout", '"bnq,bnqk->bnk"', '"bnk,bnqk->bnq"'),
        ("parts-at-an-odd-edge", "(share / parts)", "(share / 4)"),
    ),
    (
        "gcvit_edu/maps/flow.py",
        "test_maps.py::test_single_functions_refuse_what_does_not_fit",
        ("blocks-that-are-missing", "(one.stage, one.block + 1) and", "(one.stage, after.block) and"),
    ),
    (
        "gcvit_edu/maps/gradients.py",
        "test_maps.py::test_gradients_count_where_they_are_positive",
        ("negative-gains", "record.weights.detach()).clamp_min(0)", "record.weights.detach()).abs()"),
        ("keys-that-gain", "of_head(gain, head).sum(2)", "of_head(gain, head).sum(3)"),
        ("negative-grad-cam", "* features.detach()).sum(-1).clamp_min(0)", "* features.detach()).sum(-1).abs()"),
    ),
    (
        "gcvit_edu/maps/gradients.py",
        "test_maps_loops.py::test_grad_cam_equals_differences",
        ("weight-of-a-channel", "gradient.mean((1, 2))", "gradient.amax((1, 2))"),
    ),
    (
        "gcvit_edu/maps/attention_map.py",
        "test_maps.py::test_the_class_is_the_largest_logit_unless_it_is_named",
        ("class-of-each-image", "logits.gather(1, labels[:, None]).sum()", "logits.amax(1).sum()"),
        ("largest-logit", "logits.detach().argmax(1)", "logits.detach().argmin(1)"),
    ),
    (
        "gcvit_edu/maps/attention_map.py",
        "test_maps_ablations.py::test_which_blocks_are_global_is_asked_of_the_blocks",
        ("last-global-block", "return are_global[-1]", "return are_global[0]"),
    ),
    (
        "gcvit_edu/maps/layout.py",
        "test_maps_ablations.py",
        ("direction-of-a-shift", "values.roll((-shift, -shift), (1, 2))", "values.roll((shift, shift), (1, 2))"),
        ("shift-that-is-undone", "0].roll((shift, shift), (1, 2))", "0]"),
    ),
    (
        "gcvit_edu/maps/flow.py",
        "test_maps_ablations.py",
        (
            "shift-of-the-rollout",
            "attended, record.window, record.map_size, record.shift",
            "attended, record.window, record.map_size",
        ),
    ),
    (
        "gcvit_edu/maps/whole_map.py",
        "test_maps_ablations.py",
        ("shift-of-the-keys", "x.roll((-shift, -shift), (1, 2))", "x"),
    ),
    (
        "gcvit_edu/capture.py",
        "test_maps_ablations.py",
        ("shift-of-a-single-window", "and map_size != (attn.window, attn.window)", ""),
    ),
    (
        "gcvit_edu/maps/attention_map.py",
        "test_maps_ablations.py",
        ("blocks-that-are-global", "if block.use_global]", "if index % 2]"),
    ),
    (
        "gcvit_edu/maps/attention_map.py",
        "test_maps.py::test_the_model_is_as_it_was",
        ("frozen-weights", "image.detach().requires_grad_()", "image.detach()"),
        ("hook-of-a-stage", "        hook.remove()\n    if method", "        pass\n    if method"),
    ),
    (
        "gcvit_edu/maps/attention_map.py",
        "test_maps_loops.py::test_rollout_equals_the_product_of_whole_matrices",
        ("stages-of-the-rollout", "record.stage >= stage", "record.stage > stage - 2"),
    ),
)

OF_THE_JUDGE = (
    (
        "gcvit_edu/maps/faithfulness/scores.py",
        "test_maps_judge.py::test_pointing_and_energy",
        ("ties-of-the-maximum", "mask[values == values.max()].float().mean()", "mask.flatten()[values.argmax()]"),
        ("map-of-zeros", "if not values.any():", "if False:"),
    ),
    (
        "gcvit_edu/maps/faithfulness/scores.py",
        "test_maps_judge.py::test_rank_correlation_equals_loops_also_with_ties",
        ("ranks-of-ties", "last - (sizes - 1) / 2", "last"),
    ),
    (
        "gcvit_edu/maps/faithfulness/curves.py",
        "test_maps_judge.py::test_pixels_come_brightest_first_and_equal_ones_in_no_order_of_rows",
        ("brightest-last", "argsort(descending=True", "argsort(descending=False"),
        ("ties-by-rows", ".to(values.device)\n    return", ".sort().values\n    return"),
    ),
    (
        "gcvit_edu/maps/faithfulness/curves.py",
        "test_maps_judge.py::test_curves_equal_loops",
        ("order-as-rank", "rank[order] = torch.arange(len(order), device=order.device)", "rank[:] = order"),
        ("insertion-for-deletion", "[torch.where(chosen, baseline, image),", "[torch.where(chosen, image, baseline),"),
    ),
    (
        "gcvit_edu/maps/faithfulness/curves.py",
        "test_maps_judge.py::test_area_is_by_trapezoids",
        ("trapezoids", "(curve[1:] + curve[:-1]).mean() / 2", "curve.mean()"),
    ),
    (
        "gcvit_edu/maps/faithfulness/curves.py",
        "test_maps_judge.py::test_blurring_keeps_the_mean_and_leaves_no_detail",
        ("width-of-the-blur", "sigma = min(image.shape[2:]) / 8", "sigma = min(image.shape[2:]) / 200"),
    ),
    (
        "gcvit_edu/maps/faithfulness/bootstrap.py",
        "test_maps_judge.py::test_a_bootstrap_interval_covers_the_truth_as_often_as_it_says",
        ("interval", "[2.5, 97.5]", "[10, 90]"),
        ("resampling", "size=(RESAMPLES, len(known))", "size=(RESAMPLES, 1)"),
    ),
    (
        "gcvit_edu/maps/faithfulness/bootstrap.py",
        "test_maps_judge.py::test_what_is_unknown_is_left_out_of_a_mean",
        ("unknown-values", "if not math.isnan(value)", "if True"),
    ),
    (
        "gcvit_edu/interventions.py",
        "test_maps_judge.py::test_a_changed_query_reaches_every_stage_and_goes_again",
        ("cells-that-change-places", "query[:, :, order.to(query.device)]", "query"),
        (
            "query-that-stays-changed",
            "output: change(output)) for query in queries]\n    try:\n        yield\n    finally:",
            "output: change(output)) for query in queries]\n    try:\n        yield\n    finally:\n        hooks = []",
        ),
    ),
    (
        "gcvit_edu/maps/faithfulness/sanity.py",
        "test_maps_judge.py::test_sanity_of_every_method",
        ("other-query", "lambda query: query.flip(0)", "lambda query: query"),
        ("network-without-training", "found(fresh, image)", "found(model, image)"),
    ),
    (
        "gcvit_edu/maps/faithfulness/sanity.py",
        "test_maps_judge.py::test_untrained_weights_are_drawn_anew_and_nothing_else_is",
        ("random-state-of-others", "with torch.random.fork_rng(devices=[]):", "if True:"),
    ),
    (
        "gcvit_edu/experiments/map_faithfulness.py",
        "test_maps_judge_command.py::test_scenes_show_one_emoji_that_training_did_not_see",
        ("emoji-of-training", 'split="test"', 'split="train"'),
    ),
    (
        "gcvit_edu/experiments/map_faithfulness.py",
        "test_maps_judge_command.py::test_candidates_are_each_kind_where_it_differs",
        ("one-window", "math.ceil(size / stride) <= window", "math.ceil(size / stride) < window"),
    ),
    (
        "gcvit_edu/experiments/map_faithfulness.py",
        "test_maps_judge_command.py::test_figures_of_a_scene",
        ("cells-that-are-pointed-at", '"pointing": pointing(cells', '"pointing": pointing(smooth'),
        ("stage-of-the-reference", "REFERENCE_STAGE = 2", "REFERENCE_STAGE = 1"),
    ),
    (
        "gcvit_edu/experiments/map_faithfulness.py",
        "test_maps_judge_command.py::test_all_methods_are_judged_unless_some_are_named",
        ("scene-to-go-on-with", "range(first, len(scenes))", "range(len(scenes))"),
    ),
    (
        "gcvit_edu/experiments/map_faithfulness.py",
        "test_maps_judge_command.py::test_a_summary_is_of_all_scenes_of_the_correct_ones_and_over_the_centre",
        ("scenes-classified-correctly", 'if row["correct"]]', "]"),
    ),
    (
        "gcvit_edu/experiments/results.py",
        "test_maps_judge_command.py::test_the_command_goes_on_where_it_was_stopped_and_writes_the_same",
        ("half-a-line", 'if line.endswith(b"\\n")]', "]"),
        ("rows-of-other-settings", "if first != settings:", "if False:"),
    ),
)

OF_ABLATION = (
    (
        "gcvit_edu/mixers.py",
        "test_ablation.py::test_shifted_windows_are_those_of_torchvision",
        ("shift-of-the-map", "x.roll((-shift, -shift), (1, 2))", "x.roll((shift, shift), (1, 2))"),
        ("shift-that-is-not-undone", ".roll((shift, shift), (1, 2))", ""),
        ("tokens-that-are-apart", "cut[:, :, None] != cut[:, None, :]", "cut[:, :, None] > cut[:, None, :]"),
        (
            "parts-of-a-rolled-side",
            "3 * parts(height)[:, None] + parts(width)",
            "parts(height)[:, None] + parts(width)",
        ),
    ),
    (
        "gcvit_edu/mixers.py",
        "test_ablation.py::test_a_map_of_one_window_is_not_shifted",
        ("shift-of-one-window", "== (self.window, self.window)", "== (0, 0)"),
    ),
    (
        "gcvit_edu/mixers.py",
        "test_ablation.py::test_a_mixer_says_what_each_block_does",
        ("blocks-that-ask", "stage.blocks[1::2]", "stage.blocks"),
        ("blocks-that-also-ask", "stage.blocks[::2]", "stage.blocks[2::2]"),
    ),
    (
        "gcvit_edu/interventions.py",
        "test_ablation.py::test_noise_has_the_mean_and_deviation_of_each_channel",
        ("noise-of-one-deviation", "dim=(0, 2), correction", "dim=(0, 2, 3), correction"),
    ),
    (
        "gcvit_edu/interventions.py",
        "test_ablation.py::test_a_query_is_changed_in_the_stages_asked_for_and_only_within_the_context",
        ("stages-whose-query-changes", "else stages", "else range(len(model.stages))"),
    ),
    (
        "gcvit_edu/experiments/query_ablations.py",
        "test_train_ablations.py::test_together_is_as_alone",
        (
            "weights-of-another-network",
            "quick[name] = _quick(networks[name]",
            "quick[name] = _quick(next(iter(networks.values()))",
        ),
    ),
)

MAPS = (*OF_MAPS, *OF_THE_JUDGE, *OF_ABLATION)
