"""Exercise checkers: each accepts the right answer and names at least three typical mistakes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from _answers_ch03 import interval
from _answers_ch07 import rates
from _answers_ch09 import centred
from _checkers import RIGHT, WRONG, Checker, checkers
from torch import Tensor, nn

from gcvit_edu import create_model
from gcvit_edu.attention import WindowAttention, attend_explicit
from gcvit_edu.check import Verdict, ch01, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch12, ch13, ch14, proof_card
from gcvit_edu.check.verdict import all_right, compare


@pytest.mark.parametrize(("checker", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", ""))
def test_the_right_answer_is_accepted(checker: Checker, answer: Any) -> None:
    verdict = checker(answer)
    assert verdict, verdict  # as a teacher grades
    assert repr(verdict).startswith("Right. ")


@pytest.mark.parametrize(("checker", "answer", "diagnosis"), WRONG)
def test_a_typical_mistake_is_named(checker: Checker, answer: Any, diagnosis: str) -> None:
    verdict = checker(answer)
    assert not verdict
    assert not verdict.right
    assert diagnosis in verdict.message, verdict
    assert repr(verdict).startswith("Not yet. ")


def test_every_checker_is_tried_with_three_mistakes() -> None:
    assert set(checkers()) == {checker for checker, _ in RIGHT}
    for checker in checkers():
        assert sum(checker is wrong for wrong, _, _ in WRONG) >= 3, checker.__name__


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *_: None, "returned None"),
        (lambda *_: 1 / 0, "raised ZeroDivisionError"),
        (lambda *_: torch.zeros(2), "Expected a tensor of shape (3, 2, 4, 5), got one of shape (2,)"),
        (lambda q, k, v, b: torch.full_like(q, float("nan")), "not a number"),
        (lambda q, k, v, b: torch.zeros_like(q), "the values are not"),
        (torch.zeros(3), "Give the function itself"),
    ],
)
def test_what_no_mistake_explains_still_gets_an_answer(answer: Any, message: str) -> None:
    assert message in ch05.attention(answer).message


def test_several_numbers_in_the_place_of_one_are_told_apart() -> None:
    for checker in (ch04.block_cost, ch05.attention_pairs, ch05.blocks_to_cross, ch06.halvings):
        message = checker(lambda *_: torch.tensor([1, 2])).message
        assert message == "Return one number; yours is Tensor of shape (2,)."


def test_the_kind_of_answer_that_is_wanted_is_named() -> None:
    for checker, wanted in (
        (ch01.map_sizes, "four pairs of numbers"),
        (ch03.pixel_interval, "two numbers"),
        (ch09.whole_windows, "True or False"),
        (ch13.steps_of_a_run, "three numbers"),
    ):
        assert checker(lambda *_: "a word").message == f"Return {wanted}; yours is str."


def test_the_case_that_fails_is_the_one_that_is_named() -> None:
    def only_four_stages(depths: list[int], last: float) -> list[list[float]]:
        return rates(depths, last) if len(depths) == 4 else [[0.0] * depth for depth in depths]

    assert "For depths [2, 2] and 0.3, block 1 " in ch07.drop_path_rates(only_four_stages).message
    assert "%" not in ch08.products_take_over(32_000).message  # a share that nobody counted


def test_a_mask_of_whole_numbers_is_not_boolean() -> None:
    def with_whole_numbers(x: Tensor, window: int) -> tuple[Tensor, Tensor]:
        padded, mask = centred(x, window)
        return padded, mask.long()

    assert "must be boolean" in ch09.centred_padding(with_whole_numbers).message
    assert ch09.centred_padding(lambda *case: list(centred(*case)))


def test_a_variance_by_the_mean_of_squares_is_right() -> None:
    def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mean, squares = x.mean(-1, keepdim=True), x.square().mean(-1, keepdim=True)
        return (x - mean) / (squares - mean**2 + 1e-5).sqrt() * weight + bias

    assert ch03.layer_norm(norm)


def test_a_boolean_of_numpy_is_a_boolean() -> None:
    assert "accepts everything" in ch06.catches_mixing(lambda attention: np.bool_(True)).message


def test_an_answer_that_works_in_place_cannot_spoil_the_comparison() -> None:
    def in_place(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
        result = attend_explicit(q, k, v, b)[0]
        for tensor in (q, k, v, b):
            tensor.zero_()
        return result

    assert ch05.attention(in_place).right


def test_a_verdict_is_true_if_right_and_short() -> None:
    assert Verdict(True, "")
    assert not Verdict(False, "")
    assert len(Verdict(False, "x" * 5000).message) < 1010
    assert Verdict(False, "x\n" * 300).message.count("\n") == 9
    assert Verdict(False, "as it is\nin two lines").message == "as it is\nin two lines"


def test_all_cases_must_be_right_and_none_is_tried_after_a_wrong_one() -> None:
    tried = []

    def trying(*rights: bool) -> Iterator[Verdict]:
        for right in rights:
            tried.append(right)
            yield Verdict(right, "words")

    assert all_right(trying(True, True)).message == "words"
    assert all_right(trying(False, True)).message == "words"
    assert all_right(trying(True, False, True)).message == "Right in the first case, but not in the next: words"
    assert tried == [True, True, False, True, False]
    assert "in the first 2 cases" in all_right(trying(True, True, False)).message


def test_an_answer_of_another_precision_is_right() -> None:
    assert ch05.attention(lambda *a: attend_explicit(*(x.double() for x in a))[0])
    assert ch05.masked_attention(lambda q, k, v, b, r: attend_explicit(*(x.double() for x in (q, k, v, b)), r)[0])
    assert ch10.half_life(lambda steps: np.float32(0.5 ** (1 / steps)))
    assert ch12.paired_interval(in_float32)
    for factor in (4.30, 4.302653):
        assert ch14.difference(lambda a, b, factor=factor: in_float32(b, a, factor).tolist())
    assert ch03.pixel_interval(lambda token, layers: torch.tensor(interval(token, layers)))


def in_float32(a: list[float], b: list[float], t: float) -> Tensor:
    off = torch.tensor(a) - torch.tensor(b)
    half = t * off.std() / len(a) ** 0.5
    return torch.stack([off.mean() - half, off.mean() + half])


def test_weights_of_another_size_are_named_and_the_network_is_not_printed() -> None:
    verdict = ch09.drift(
        lambda model, photo, size: create_model("nano", image_size=size).load_state_dict(model.state_dict())
    )
    assert "another size" in verdict.message
    assert "convert_state_dict" in verdict.message
    assert len(verdict.message) < 300


def test_compare_reports_the_largest_difference() -> None:
    assert "0.5" in compare(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), "", {}).message


def test_proof_card_passes_equals_and_refuses_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, 2).double()
    nn.init.normal_(attention.bias.table)
    x = torch.randn(1, 4, 4, 8)
    proof_card("a thing", {"one": attention, "two": lambda x: attention(x) * 1.0}, x)
    assert "equal" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="wrong forward differ from one"):
        proof_card("a thing", {"one": attention, "wrong forward": lambda x: attention(x) + 1e-9}, x)
    assert "DIFFERENT" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="wrong gradient"):
        proof_card("a thing", {"one": attention, "wrong gradient": lambda x: attention(x.detach()) + 0 * x.sum()}, x)
    with pytest.raises(AssertionError, match="not a number"):
        proof_card("a thing", {"one": attention, "not a number": lambda x: attention(x) + 0 * (x * 0).sqrt().sum()}, x)
    with pytest.raises(AssertionError, match="wrong shape"):
        proof_card("a thing", {"one": attention, "wrong shape": lambda x: attention(x)[:, :2]}, x)
