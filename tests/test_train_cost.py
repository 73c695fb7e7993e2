"""The cost of a run: ranges that contain what is known, never a false precision, and refusals."""

import pytest

from gcvit_edu.bench import cost as module
from gcvit_edu.bench.cost import TRAINING_SHARE, about, cost, epochs_of, main, multiply_adds, training_rate
from gcvit_edu.data import published_figures
from gcvit_edu.hardware import CARDS, PEAKS
from gcvit_edu.train import load_recipe
from gcvit_edu.variants import VARIANTS


def test_a_published_card_has_its_own_figures() -> None:
    figures = published_figures("images_per_second")
    inference = dict(zip(figures["models"], figures["RTX 5090, eager"], strict=True))
    low, high = training_rate("tiny", "RTX 5090")
    assert (low, high) == pytest.approx([inference["tiny"] * share for share in TRAINING_SHARE])
    assert low < inference["tiny"] / 3 < high  # what counting operations would say


def test_the_measured_ratios_lie_within_the_range() -> None:
    """Swin pull request 234, one A100: images per second of inference and of training, in five settings."""
    measured = ((540.4, 263.8), (540.8, 159.8), (1164.6, 333.6), (1164.6, 352.0), (540.4, 281.6))
    shares = sorted(training / inference for inference, training in measured)
    assert TRAINING_SHARE[0] < shares[0] < shares[-1] < TRAINING_SHARE[1]
    assert f"{shares[0]:.2f} to {shares[-1]:.2f} were measured" in module.__doc__
    assert TRAINING_SHARE[0] == pytest.approx(shares[0] / 2, rel=0.1)  # "about half of the lowest measured"


@pytest.mark.parametrize("gpu", CARDS)
def test_another_card_lies_between_arithmetic_and_memory(gpu: str) -> None:
    reference = training_rate("tiny", "RTX 5090")
    found = training_rate("tiny", gpu)
    card, base = CARDS[gpu], CARDS["RTX 5090"]
    ratios = sorted([card.peak / base.peak, card.bandwidth / base.bandwidth])
    assert found[0] == pytest.approx(reference[0] * ratios[0])
    assert found[1] == pytest.approx(reference[1] * ratios[1])
    assert card.peak == PEAKS.get(gpu, card.peak)  # the same data sheets as the log's MFU


def test_another_variant_is_wider_and_slower_by_its_multiply_adds() -> None:
    (low, high), (own_low, own_high) = training_rate("tiny", "A100"), training_rate("tiny2", "A100")
    ratio = multiply_adds("tiny") / multiply_adds("tiny2")
    assert (own_low / low, own_high / high) == pytest.approx((0.7 * ratio, 1.3 * ratio))
    for variant in set(VARIANTS) - {"nano"}:
        low, high = training_rate(variant, "L4")
        assert 0 < low < high
        recipe = "imagenet_finetune" if "_" in variant else "imagenet"
        assert epochs_of(variant) == load_recipe(recipe).config.epochs


def test_hours_energy_and_money_by_hand() -> None:
    """A thousand pictures a second: 300 epochs of 1,281,167 + 2 x 50,000 / 3 take 109.5 hours on one card."""
    one = cost((1000, 1000), epochs=300, cards=1, watts=400, price=(2, 3))
    assert one.hours == pytest.approx((109.54, 109.54), abs=0.01)
    assert one.energy == pytest.approx((109.54 * 0.2, 109.54 * 0.4), abs=0.01)
    assert one.money == pytest.approx((219.08, 328.62), abs=0.02)
    eight = cost((1000, 1000), epochs=300, cards=8)
    assert eight.hours == pytest.approx((109.54 / 8, 109.54 / 8 / 0.85), abs=0.01)
    assert eight.card_hours == pytest.approx((109.54, 109.54 / 0.85), abs=0.01)
    assert eight.energy is eight.money is None


def test_two_digits_are_all_that_is_shown() -> None:
    assert [about(one) for one in ((7.643, 38.9), (1234.5, 1234.5), (61.2, 1812))] == [
        "7.6 to 39",
        "about 1,200",
        "61 to 1,800",
    ]


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny", "--gpu", "A100", "--count", "8"]) == 0
    said = capsys.readouterr().out
    for word in ("an estimate, never run here", "guessed, see --help", " to ", "of 400 W", "give --price", "sources"):
        assert word in said
    measured = ["tiny", "--gpu", "V100", "--images-per-second", "300", "--price", "1", "2", "--epochs", "30"]
    assert main(measured) == 0
    said = capsys.readouterr().out
    assert "30 epochs, 1 x V100" in said
    assert "about 300 pictures/s, measured by you" in said
    assert "not known; give --watts" in said
    assert "at your price" in said
    assert main([*measured, "--watts", "300"]) == 0
    assert "at 50 to 100 % of 300 W" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny", "--gpu", "V100"], "nothing is known here of the GPU 'V100'; there are A10, A100"),
        (["nano", "--gpu", "A100"], "there is no ImageNet recipe of 'nano'; there are those of xxtiny"),
        (["tinny", "--gpu", "A100", "--images-per-second", "9", "--epochs", "3"], "no ImageNet recipe of 'tinny'"),
        (["tiny", "--gpu", "A100", "--count", "0"], "cards=0 must be positive"),
        (["tiny", "--gpu", "A100", "--epochs", "0"], "epochs=0 must be positive"),
        (["tiny", "--gpu", "A100", "--images-per-second", "0"], "rate=(0.0, 0.0) must be two positive numbers"),
        (["tiny", "--gpu", "A100", "--price", "3", "2"], "price=(3.0, 2.0) must be two positive numbers, the lower"),
        (["tiny", "--gpu", "A100", "--watts", "0"], "watts=0.0 must be positive"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said


def test_the_name_that_pytorch_gives_a_card_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in the command that throughput prints; without it the energy would be unknown."""
    printed = []
    for gpu in ("NVIDIA H100 80GB HBM3", "H100"):
        assert main(["tiny", "--gpu", gpu, "--count", "8", "--images-per-second", "1212"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "kWh" in printed[0]
