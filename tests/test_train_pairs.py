"""The pairs: what a picture shows, what the networks are, that they train, and the file of the runs."""

import json
from pathlib import Path

import pytest
import torch
from _support import error_of

from gcvit_edu.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from gcvit_edu.experiments import same_or_different as module
from gcvit_edu.experiments.same_or_different import (
    DISTANCES,
    SIDE,
    SIZE,
    Pairs,
    main,
    network,
    read_pairs,
    share_right,
    train_on_pairs,
)
from gcvit_edu.mixers import MIXERS, NoQuery


def batch(count: int, seed: int = 0, distance: int | None = None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return Pairs().batch(count, torch.Generator().manual_seed(seed), distance)


def pixels(images: torch.Tensor) -> torch.Tensor:
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return images * deviation + mean


@pytest.mark.parametrize("distance", DISTANCES)
def test_two_drawings_so_far_apart_on_a_plain_colour(distance: int) -> None:
    images, same, counts = batch(40, distance=distance)
    assert images.shape == (40, 3, SIZE, SIZE)
    assert counts.sum(1).tolist() == [2] * 40
    assert torch.equal(same == 1, (counts == 2).any(1))
    apart = set()
    for image in pixels(images):
        colours, times = image.flatten(1).unique(dim=1, return_counts=True)
        drawn = (image - colours[:, times.argmax()][:, None, None]).abs().amax(0) > 1e-4
        rows, columns = (drawn.any(axis).nonzero().flatten() for axis in (1, 0))
        sides = sorted([int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1])
        assert sides[0] <= SIDE  # one behind the other, in a row or a column
        apart.add(sides[1] - SIDE)
    assert max(apart) <= distance
    assert distance - max(apart) <= 2  # drawings may leave a pixel of their square empty


def test_each_drawing_is_as_frequent_with_both_answers() -> None:
    _, same, counts = batch(4000)
    assert abs(same.float().mean() - 0.5) < 0.03
    alike = counts[same == 1]
    assert abs((alike[:, 0] == 2).float().mean() - 0.5) < 0.04
    assert (counts[same == 0] == 1).all()


def test_pictures_follow_from_the_generator() -> None:
    assert torch.equal(batch(8, seed=1)[0], batch(8, seed=1)[0])
    assert not torch.equal(batch(8, seed=1)[0], batch(8, seed=2)[0])


def test_without_a_distance_all_distances_come() -> None:
    pairs, far = Pairs(), []
    pairs.drawings[..., 3] = 1  # without transparency the squares are seen whole
    pairs.drawings[..., :3] = 0
    images, _, _ = pairs.batch(200, torch.Generator().manual_seed(0))
    for image in pixels(images):
        black = (image.abs() < 1e-5).all(0)
        rows, columns = (black.any(axis).nonzero().flatten() for axis in (1, 0))
        far.append(max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1 - SIDE)
    assert set(far) == set(DISTANCES)


@pytest.mark.parametrize("mixer", MIXERS)
def test_both_stages_have_four_windows(mixer: str) -> None:
    net, sides = network(mixer, seed=0), []
    assert [isinstance(stage.query, NoQuery) for stage in net.stages] == 2 * [mixer in ("local only", "shifted")]
    for stage in net.stages:
        stage.register_forward_hook(lambda _, __, out: sides.append(out.shape[1]))
    assert net(batch(3)[0]).shape == (3, 4)
    windows = [stage.blocks[0].attn.window for stage in net.stages]
    assert [side // window for side, window in zip(sides, windows, strict=True)] == [2, 2]


def test_the_seed_gives_the_weights() -> None:
    one, same, other = (network("global query", seed)(batch(2)[0]) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert error_of(one, other) > 0.1


def test_the_share_right_is_of_the_first_two_answers() -> None:
    class Oracle(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """Right always; the counts, which are larger, must play no part."""
            right = torch.stack([1.0 - labels[: len(images)], labels[: len(images)]], 1)
            labels.set_(labels[len(images) :])
            return torch.cat([right, torch.full_like(right, 9.0)], 1)

    _, same, _ = Pairs().batch(module.HELD_OUT, torch.Generator().manual_seed(10**6 + 16), 16)
    labels = same.float()
    assert share_right(Oracle(), Pairs(), 16) == 1


def test_what_is_told_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_OUT", 50)
    nets = {}
    monkeypatch.setattr(module, "network", lambda mixer, seed: nets.setdefault(len(nets), network(mixer, seed)))
    lines = [train_on_pairs("global query", 0, steps=2, told=told) for told in (True, False)]
    assert [line["told"] for line in lines] == [True, False]
    assert all(0 <= share <= 1 for line in lines for share in line["accuracy"].values())
    start = network("global query", 0).head.weight.detach()
    # Untold, nothing but weight decay moves the rows of the counts: they keep their direction.
    told, untold = (torch.cosine_similarity(nets[index].head.weight.detach()[2:], start[2:]) for index in (0, 1))
    assert (told < 1 - 1e-6).all()
    torch.testing.assert_close(untold, torch.ones(2), atol=1e-6, rtol=0)
    assert (torch.cosine_similarity(nets[1].head.weight.detach()[:2], start[:2]) < 1 - 1e-6).all()


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def train(mixer: str, seed: int, steps: int, told: bool) -> dict[str, object]:
        asked.append((mixer, seed, steps, told))
        return {"mixer": mixer, "seed": seed, "steps": steps, "told": told}

    monkeypatch.setattr(module, "train_on_pairs", train)
    file = tmp_path / "pairs.jsonl"
    main(["--out", str(file), "--steps", "5", "--seeds", "0"])
    assert len(asked) == len(set(asked)) == len(MIXERS) + 1
    main(["--out", str(file), "--steps", "5", "--seeds", "0", "1"])
    assert len(asked) == len(set(asked)) == 2 * (len(MIXERS) + 1)
    assert len(read_pairs(file)) == len(asked)
    assert json.loads(file.read_text().splitlines()[0])["seed"] == 0


def test_a_loss_that_is_not_finite_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEAK", 1e30)
    with pytest.raises(ArithmeticError, match=r"the loss of local only is nan in step \d+; lower PEAK"):
        train_on_pairs("local only", 0, steps=20)


def test_the_stored_runs_are_complete() -> None:
    lines = read_pairs()
    kinds = {(line["mixer"], line["told"], line["seed"]) for line in lines}
    assert kinds == {(m, t, s) for s in range(3) for m, t in [*((m, True) for m in MIXERS), ("global query", False)]}
    assert len(lines) == len(kinds)
    assert {line["steps"] for line in lines} == {1000}
