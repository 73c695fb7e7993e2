"""The commands that measure: python -m gcvit_edu.bench COMMAND."""

import sys

from gcvit_edu.console import run_one_of

COMMANDS = {
    "inference": "speed and memory beside timm's model",
    "training": "whole training steps beside timm's model",
    "device": "how fast one device trains and evaluates when the loader never waits",
    "loading": "pictures per second and core, beside timm's loader",
    "cost": "what a run on ImageNet would take: hours, energy and money, as ranges",
}

if __name__ == "__main__":
    sys.exit(run_one_of("gcvit_edu.bench", COMMANDS))
