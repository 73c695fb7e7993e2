"""Right and wrong answers to the exercises of appendix A, with the diagnosis each wrong one must get."""

import re
from collections.abc import Callable
from typing import Any

from gcvit_edu.check import Verdict, appendix_a

RULES = [
    (r"^stem\.conv\.", "stem.conv1."),
    (r"(down|downsample)\.conv\.", r"\1.reduction."),
    (r"\.mbconv\.", ".conv_block."),
    (r"\.query\.mbconvs\.(\d+)\.", lambda match: f".global_block.blocks.conv{int(match[1]) + 1}."),
    (r"\.attn\.bias\.table$", ".attn.rel_pos.relative_position_bias_table"),
    (r"\.attn\.kv\.", ".attn.qkv."),
    (r"^norm\.", "stages.3.norm."),
    (r"^head\.", "head.fc."),
]


def to_timm(name: str, *, leave: int | None = None, first: tuple[str, str] | None = None) -> str:
    rules = [rule for place, rule in enumerate(RULES) if place != leave]
    for pattern, replacement in ([first] if first else []) + rules:
        name = re.sub(pattern, replacement, name)
    return name


def from_zero(name: str) -> str:
    return re.sub(r"blocks\.conv(\d)", lambda match: f"blocks.conv{int(match[1]) - 1}", to_timm(name))


def report(found: dict, wanted: dict) -> tuple[list[str], list[str], list[str]]:
    both = found.keys() & wanted.keys()
    other = sorted(name for name in both if found[name].shape != wanted[name].shape)
    return sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys()), other


def by_size(found: dict, wanted: dict) -> tuple[list[str], list[str], list[str]]:
    missing, unknown, _ = report(found, wanted)
    return missing, unknown, [n for n in found if n in wanted and found[n].numel() != wanted[n].numel()]


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (appendix_a.timm_name, to_timm),
    (appendix_a.report, report),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (appendix_a.timm_name, lambda name: name, "No name has changed"),
    (appendix_a.timm_name, from_zero, "from 1"),
    (appendix_a.timm_name, lambda name: to_timm(name, leave=5), "qkv too"),
    (appendix_a.timm_name, lambda name: to_timm(name, leave=6), "timm's last stage"),
    (appendix_a.timm_name, lambda name: to_timm(name, first=(r"\.conv\.", ".reduction.")), "conv1, not reduction"),
    (appendix_a.timm_name, lambda name: to_timm(name, first=(r"\.norm\d", ".norm")), "norm1 and norm2 keep"),
    (appendix_a.timm_name, lambda name: to_timm(name, leave=7), "2 of"),
    (appendix_a.report, lambda found, wanted: report(wanted, found), "swapped"),
    (appendix_a.report, lambda found, wanted: report(found, wanted)[:2], "Return three lists"),
    (appendix_a.report, lambda found, wanted: ("a.weight", "y.bias", "e.weight"), "not a string"),
    (appendix_a.report, by_size, "both have six numbers"),
    (appendix_a.report, lambda found, wanted: tuple(part[::-1] for part in report(found, wanted)), "a sorted list"),
    (appendix_a.report, lambda found, wanted: (*report(found, wanted)[:2], ["a.weight", "e.weight"]), "on both sides"),
    (appendix_a.report, lambda found, wanted: ([], [], ["b.weight"]), "was expected"),
]
