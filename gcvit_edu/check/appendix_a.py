"""Checkers of appendix A, Other people's weights."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice

import torch

from gcvit_edu.check.answers import call, kind, short
from gcvit_edu.check.verdict import Verdict, checker, not_yet
from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import GCViT


@checker()
def timm_name(function: Callable[[str], str]) -> Verdict:
    """Exercise A.1: function(our name of a tensor) is timm's name."""
    names = _names()
    found = {}
    for name in names:
        found[name] = call(function, name)
        if not isinstance(found[name], str):
            return not_yet(f"Return a name, as a string; yours is {kind(found[name])}.")
    right = {name: _to_timm(name) for name in names}
    wrong = [name for name in names if found[name] != right[name]]
    if not wrong:
        return Verdict(True, f"All {len(names)} names fit.")
    if all(found[name] == name for name in names):
        return not_yet("No name has changed.")
    name = wrong[0]
    seen = f" {name} became {short(found[name])}; timm has {right[name]}."
    if any("mbconvs" in one and re.search(r"blocks\.conv0\.", found[one]) for one in wrong):
        return not_yet("timm counts the MBConvs of a query generator from 1." + seen)
    if all(".kv." in one for one in wrong):
        return not_yet("timm calls the projection of global blocks qkv too." + seen)
    if all(one.startswith("norm.") for one in wrong):
        return not_yet("The last norm belongs to timm's last stage, stages.3." + seen)
    if any(one.startswith("stem.conv.") and "reduction" in found[one] for one in wrong):
        return not_yet("The stem's first convolution is conv1, not reduction." + seen)
    if any(re.search(r"\.norm[12]\.", one) for one in wrong):
        return not_yet("norm1 and norm2 keep their names." + seen)
    return not_yet(f"{len(wrong)} of {len(names)} names are not timm's." + seen)


@checker()
def report(function: Callable[[dict, dict], tuple[list[str], list[str], list[str]]]) -> Verdict:
    """Exercise A.2: function(found, wanted) lists what is missing, unknown and of another shape."""
    wanted = {name: torch.zeros(2, 3) for name in ("b.weight", "a.weight", "d.weight", "c.weight", "e.weight")}
    found = {name: torch.zeros(2, 3) for name in ("z.bias", "c.weight", "b.weight", "y.bias", "e.weight")}
    found["e.weight"] = torch.zeros(3, 2)
    found["y.bias"] = torch.zeros(1)
    right = [["a.weight", "d.weight"], ["y.bias", "z.bias"], ["e.weight"]]
    answer = call(function, found, wanted)
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        return not_yet("Return three lists: missing, unknown, of another shape.")
    if any(isinstance(part, str) for part in answer):
        return not_yet("Return lists of names, not a string.")
    if not all(isinstance(part, Iterable) for part in answer):
        return not_yet(f"Return three lists of names, not {', '.join(map(kind, answer))}.")
    lists = [list(islice(part, 100)) for part in answer]
    if not all(isinstance(name, str) for part in lists for name in part):
        return not_yet("Return lists of names; something in yours is not a string.")
    if lists == right and all(isinstance(part, list) for part in answer):
        wanted.pop("e.weight")
        alone = call(function, {}, wanted)
        if not isinstance(alone, tuple | list) or list(alone) != [
            ["a.weight", "b.weight", "c.weight", "d.weight"],
            [],
            [],
        ]:
            return not_yet("It is right for a small example, but not for an empty file.")
        return Verdict(True, "Now nothing goes missing in silence.")
    if [sorted(part) for part in lists] == right:
        return not_yet("The right names, but each of the three should be a sorted list.")
    if [sorted(part) for part in lists[:2]] == [right[1], right[0]]:
        return not_yet("Missing and unknown are swapped: missing is what the model wants and the file lacks.")
    if sorted(lists[2]) == []:
        return not_yet("You found no wrong shape; (3, 2) is not (2, 3), although both have six numbers.")
    if set(lists[2]) > {"e.weight"}:
        return not_yet("Only tensors that are on both sides can have a wrong shape.")
    return not_yet(f"For a small example your lists are {short(lists)}, and {right} was expected.")


@cache
def _names() -> tuple[str, ...]:
    """The names of a small model with layer scale and global blocks in all stages."""
    with torch.device("meta"):
        model = GCViT(GCViTConfig(embed_dim=32, depths=(2, 3, 11, 2), num_heads=(1, 2, 4, 8), layer_scale=1e-5))
    return tuple(model.state_dict())


def _to_timm(name: str) -> str:
    if match := re.fullmatch(r"(stages\.\d+)\.query\.mbconvs\.(\d+)\.(.+)", name):
        return f"{match[1]}.global_block.blocks.conv{int(match[2]) + 1}.{match[3]}"
    for ours, theirs in (
        ("stem.conv.", "stem.conv1."),
        ("down.conv.", "down.reduction."),
        ("downsample.conv.", "downsample.reduction."),
        (".mbconv.", ".conv_block."),
        (".attn.bias.table", ".attn.rel_pos.relative_position_bias_table"),
        (".attn.kv.", ".attn.qkv."),
    ):
        name = name.replace(ours, theirs)
    return re.sub(r"^head\.", "head.fc.", re.sub(r"^norm\.", "stages.3.norm.", name))
