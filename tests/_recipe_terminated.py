"""The stripes recipe, whose second process gets SIGTERM when it asks for its first picture. Never finishes."""

import os
import signal
from typing import Any

import _recipe_stripes
from _recipe_stripes import CONFIG as CONFIG
from _recipe_stripes import make_model as make_model


def make_data(config: Any) -> Any:
    training, validation = _recipe_stripes.make_data(config)
    begin_epoch = training.set_epoch

    def terminate(epoch: int) -> None:
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        begin_epoch(epoch)

    object.__setattr__(training, "set_epoch", terminate)
    return training, validation
