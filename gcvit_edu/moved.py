"""Errors for the names of modules until version 0.2, with the new names; to be removed in version 0.3."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# The old name of a module or command -> its new one.
MOVED = {
    "gcvit_edu.ablation": "gcvit_edu.mixers, or gcvit_edu.interventions for changes of the query",
    **{
        f"gcvit_edu.data.{name}": f"gcvit_edu.data.imagenet.{name}"
        for name in ("archives", "encoded", "jpeg", "packing", "shards", "stream")
    },
    "gcvit_edu.data.cuttings": "gcvit_edu.data.imagenet.photo_crops",
    "gcvit_edu.data.prepare": "gcvit_edu.data.imagenet.prepare",
    "gcvit_edu.data.speed": "gcvit_edu.bench loading",
    "gcvit_edu.explorer.command": "gcvit_edu.explorer.__main__",
    "gcvit_edu.maps.entry": "gcvit_edu.maps.attention_map",
    "gcvit_edu.train.alone": "gcvit_edu.bench.device",
    "gcvit_edu.train.dist": "gcvit_edu.train.distributed",
    "gcvit_edu.train.ema": "gcvit_edu.train.optim",
    "gcvit_edu.train.mixing": "gcvit_edu.train.mixup",
    "gcvit_edu.train.recipes": "gcvit_edu.recipes",
    "gcvit_edu.train.results": "gcvit_edu.experiments.results",
    "gcvit_edu.train.samples": "gcvit_edu.train.batches",
    "gcvit_edu.train.speed": "gcvit_edu.train.stopwatch, and gcvit_edu.hardware",
    "gcvit_edu.explore": "gcvit_edu.explorer",
    "gcvit_edu.machine": "gcvit_edu.hardware",
    "gcvit_edu.maps.judge": "gcvit_edu.maps.faithfulness, and the command gcvit_edu.experiments map_faithfulness",
    "gcvit_edu.quantise": "gcvit_edu.explorer.quantise",
    "gcvit_edu.train.ablations": "gcvit_edu.experiments query_ablations",
    "gcvit_edu.train.cost": "gcvit_edu.bench cost",
    "gcvit_edu.train.finetune": "gcvit_edu.zoo, with create_model(..., pretrained=FILE)",
    "gcvit_edu.train.history": "gcvit_edu.experiments attention_history",
    "gcvit_edu.train.ladder": "gcvit_edu.experiments training_ladder",
    "gcvit_edu.train.pairs": "gcvit_edu.experiments same_or_different",
    "gcvit_edu.train.sampler": "gcvit_edu.train.batches",
    "gcvit_edu.train.sick": "gcvit_edu.experiments failure_modes",
    "gcvit_edu.train.sizes": "gcvit_edu.experiments input_sizes",
    "gcvit_edu.train.throughput": "gcvit_edu.bench training, or gcvit_edu.bench device for what was --alone",
    "gcvit_edu.train.transfer": "gcvit_edu.experiments vendor_transfer",
    "gcvit_edu.travel": "gcvit_edu.experiments.information_flow",
}


class _Signpost(MetaPathFinder):
    """A finder that Python calls when it finds no module; it raises an error with the new name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MOVED:
            # Without name=: `from gcvit_edu import ablation` would swallow an error that names its module.
            raise ModuleNotFoundError(f"since version 0.2 {fullname} is {MOVED[fullname]}")
        return None


def put_up_signposts() -> None:
    """Let the import of an old name fail with the new one."""
    if not any(isinstance(finder, _Signpost) for finder in sys.meta_path):
        sys.meta_path.append(_Signpost())
