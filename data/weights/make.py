"""Make the shipped weights, and the log beside them, from a finished run of a recipe.

    python -m gcvit_edu.train emoji_nano --out RUN
    python data/weights/make.py emoji_nano RUN
    python data/weights/make.py --log-only NAME RUN     # keeps data/runs/NAME.jsonl, nothing else

The weights are the moving average of the last step (final.safetensors), in half precision. They are judged as they
are shipped, on the recipe's validation set, and weights.json keeps what was found; a test finds it again.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gcvit_edu.files import read_log
from gcvit_edu.train import evaluate, load_recipe
from gcvit_edu.train.batches import attribute_of, validation_batches
from gcvit_edu.train.config import replaced
from gcvit_edu.train.distributed import start

HERE = Path(__file__).parent
RUNS = HERE.parent / "runs"


def shortened(log: Path) -> str:
    """The lines of a log that say what was run and how each epoch ended; of the confusions only the last."""
    lines = [line for line in read_log(log) if line["event"] != "step"]
    for line in lines[:-1]:
        line.pop("confusion", None)
        line.pop("ema_confusion", None)
    return "".join(json.dumps(line) + "\n" for line in lines)


def main() -> None:
    """Judge, write the weights, the log and the entry of weights.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="its name is the name of the weights, too")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--log-only", action="store_true", help="of a run that is only shown")
    options = parser.parse_args()

    log = shortened(options.run / "log.jsonl")
    begun, *_, last = (json.loads(line) for line in log.splitlines())
    if options.log_only:
        (RUNS / f"{options.recipe}.jsonl").write_text(log, encoding="utf-8")
        return
    recipe = load_recipe(options.recipe)
    config = replaced(recipe.config, begun["config"])
    if last.get("epoch") != config.epochs:
        raise SystemExit(f"{options.run} is not finished: its last epoch is {last.get('epoch')} of {config.epochs}")

    weights = {key: value.half() for key, value in load_file(options.run / "final.safetensors").items()}
    model = recipe.make_model(config)
    model.load_state_dict(weights)
    validation, place = recipe.make_data(config)[1], start("cpu")
    scores = evaluate(model, validation_batches(validation, config, place), config.num_classes, place)

    path = HERE / f"{options.recipe}.safetensors"
    save_file(weights, path)
    table = HERE / "weights.json"
    known = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
    known[options.recipe] = {
        "variant": config.model,
        "image_size": config.image_size,
        "classes": attribute_of(validation, "classes"),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "recipe": options.recipe,
        "epochs": config.epochs,
        "torch": torch.__version__,
        "top1": scores.top1,
        "pictures": scores.samples,
        "confusion": scores.confusion,
        "licence": "CC-BY-4.0",
    }
    table.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (RUNS / f"{options.recipe}.jsonl").write_text(log, encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, top-1 {scores.top1:.2%} of {scores.samples} pictures")


if __name__ == "__main__":
    main()
