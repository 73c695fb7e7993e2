"""python -m gcvit_edu.train RECIPE [--data FOLDER] [--set KEY=VALUE]... [--out DIR] [--resume | --preflight].

Also under torchrun, on several GPUs or machines. --list names the recipes, --about RECIPE describes one.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gcvit_edu.console import INTERRUPTED, run_command
from gcvit_edu.train.arguments import add_settings, parse
from gcvit_edu.train.config import TrainConfig, changed, with_data
from gcvit_edu.train.distributed import env_rank_and_world_size
from gcvit_edu.train.loop import train
from gcvit_edu.train.recipe import Recipe, about, list_of_recipes, load_recipe
from gcvit_edu.train.run import NonFiniteLoss
from gcvit_edu.train.stopping import end_workers
from gcvit_edu.train.workers import in_words

BAD_INPUT, NON_FINITE, SAVED = 2, 3, 75  # 75 is "try again later" (sysexits.h): a job queue may start --resume
EXIT_CODES = (
    f"Exits with {BAD_INPUT} for bad input, {NON_FINITE} for a loss that is not finite, {SAVED} after SIGTERM, "
    f"{INTERRUPTED} after Ctrl-C (the first one saves, the second one ends at once); "
    f"--preflight with {BAD_INPUT} where a line of its table is an error. "
    "torchrun prints this code and exits with 1."
)


def command_line() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.train", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("recipe", nargs="?", help="a name that --list prints, or the path of a recipe's .py file")
    parser.add_argument("--list", action="store_true", help="print the recipes, a line for each, and do no more")
    parser.add_argument("--about", metavar="RECIPE", help="print what a recipe says of itself, and do no more")
    add_settings(parser)
    parser.add_argument("--data", metavar="FOLDER", help="the pictures, for a recipe that reads a folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (runs/RECIPE)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint in the folder")
    parser.add_argument("--preflight", action="store_true", help="check that everything works here, and train nothing")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Train by the command line, and return the exit code."""
    parser = command_line()
    options = parse(parser, arguments)
    if not (options.recipe or options.list or options.about):
        parser.error("name a recipe; --list prints those that there are")
    try:
        if options.list or options.about:
            print(list_of_recipes() if options.list else about(load_recipe(options.about)))
            return 0
        recipe = load_recipe(options.recipe)
        config = changed(recipe.config, options.settings)
        if options.data is not None:
            config = with_data(config, options.data)
        out = options.out or Path("runs") / recipe.name
        if options.preflight:
            return _preflight(recipe, config, out, options.resume)
        with in_words(config.workers):
            finished = train(recipe, config, out, resume=options.resume)
    except NonFiniteLoss as error:
        return _fail(error, NON_FINITE)
    except (ValueError, OSError) as error:
        return _fail(error, BAD_INPUT)
    except KeyboardInterrupt as stopped:
        end_workers()
        if env_rank_and_world_size()[0] == 0:
            print(stopped if stopped.args else "interrupted by Ctrl-C; nothing was trained", file=sys.stderr)
        return INTERRUPTED
    return 0 if finished else SAVED


def _preflight(recipe: Recipe, config: TrainConfig, out: Path, resume: bool) -> int:
    from gcvit_edu.train.preflight import ERROR, as_table, preflight

    lines = preflight(recipe, config, out, resume=resume)
    if env_rank_and_world_size()[0] == 0:
        print(as_table(lines))
    return BAD_INPUT if any(line.verdict == ERROR for line in lines) else 0


def _fail(error: Exception, code: int) -> int:
    lines = str(error).strip().splitlines() or [repr(error)]
    print(f"error: {lines[-1]}", file=sys.stderr)  # an error in a worker comes with its traceback
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
