"""The proof card at the end of a chapter: several implementations, one result."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

BOUND = 1e-12  # float64 rounding through one part of the network stays far below this


def proof_card(title: str, implementations: Mapping[str, Callable[[Tensor], Tensor]], x: Tensor) -> None:
    """Print that implementations agree with the first, in output and in the gradient of their input.

    Everything runs in float64. Differences are relative to the largest value compared.
    They are printed as a bound, because their last digits depend on the machine.

    Args:
        title: what is proved.
        implementations: functions of x by name, with float64 weights where they have any.
        x: the input; its gradient is taken through a fixed random weighting of the output.

    Raises:
        AssertionError: if one differs by more than 1e-12; the card is printed first.
    """
    x = x.double()
    results: dict[str, tuple[Tensor, Tensor]] = {}
    for name, function in implementations.items():
        leaf = x.clone().requires_grad_()
        output = function(leaf)
        weighting = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        (gradient,) = torch.autograd.grad((output * weighting).sum(), leaf)
        results[name] = (output.detach(), gradient)
    reference, *others = results
    width = max(len(name) for name in results)
    print(f"Proof card: {title}")
    print(f"float64, input {tuple(x.shape)}, all compared with: {reference}")
    wrong = []
    for name in others:
        errors = [_relative(a, b) for a, b in zip(results[name], results[reference], strict=True)]
        texts = [f"at most {BOUND:.0e}" if error <= BOUND else f"{error:.1e}" for error in errors]
        verdict = "equal" if all(error <= BOUND for error in errors) else "DIFFERENT"
        print(f"  {name:<{width}}   output {texts[0]:<15}   gradient {texts[1]:<15}   {verdict}")
        if verdict != "equal":
            wrong.append(name)
    assert not wrong, f"{', '.join(wrong)} differ from {reference}"


def _relative(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-300)).item()
