"""python -m gcvit_edu.train RECIPE [--data DIR] [--set key=value ...] [--out DIR] [--resume | --preflight].

Also under torchrun, on several GPUs or machines.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gcvit_edu.console import INTERRUPTED, run_command
from gcvit_edu.train.config import TrainConfig, changed
from gcvit_edu.train.dist import announced
from gcvit_edu.train.epoch import NonFiniteLoss
from gcvit_edu.train.loop import train
from gcvit_edu.train.recipe import Recipe, load_recipe, recipe_names
from gcvit_edu.train.stopping import end_workers

BAD_INPUT, NON_FINITE, SAVED = 2, 3, 75  # 75 is "try again later" (sysexits.h): a job queue may start --resume
EXIT_CODES = (
    f"Exits with {BAD_INPUT} for bad input, {NON_FINITE} for a loss that is not finite, {SAVED} after SIGTERM, "
    f"{INTERRUPTED} after Ctrl-C (the first one saves, the second one ends at once); "
    f"--preflight with {BAD_INPUT} where a line of its table is an error. "
    "torchrun prints this code and exits with 1."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line asks, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.train", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("recipe", help=f"{', '.join(recipe_names())}, or the path of a recipe's .py file")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--data", metavar="FOLDER", help="short for --set data=FOLDER, where the recipe has that key")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (runs/RECIPE)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint in the folder")
    parser.add_argument("--preflight", action="store_true", help="check that everything works here, and train nothing")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.recipe)
        data = [] if options.data is None else [f"data={options.data}"]
        config = changed(recipe.config, [*options.settings, *data])
        out = options.out or Path("runs") / recipe.name
        if options.preflight:
            return _preflight(recipe, config, out, options.resume)
        finished = train(recipe, config, out, resume=options.resume)
    except NonFiniteLoss as error:
        return _fail(error, NON_FINITE)
    except (ValueError, OSError) as error:
        return _fail(error, BAD_INPUT)
    except KeyboardInterrupt as stopped:
        end_workers()
        if announced()[0] == 0:
            print(stopped if stopped.args else "interrupted by Ctrl-C; nothing was trained", file=sys.stderr)
        return INTERRUPTED
    return 0 if finished else SAVED


def _preflight(recipe: Recipe, config: TrainConfig, out: Path, resume: bool) -> int:
    from gcvit_edu.train.preflight import ERROR, as_table, preflight

    lines = preflight(recipe, config, out, resume=resume)
    if announced()[0] == 0:
        print(as_table(lines))
    return BAD_INPUT if any(line.verdict == ERROR for line in lines) else 0


def _fail(error: Exception, code: int) -> int:
    lines = str(error).strip().splitlines() or [repr(error)]
    print(f"error: {lines[-1]}", file=sys.stderr)  # an error in a worker comes with its traceback
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
