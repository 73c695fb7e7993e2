"""The stripes recipe, whose pictures are not finite in the second epoch."""

from typing import Any

import _recipe_stripes
from _recipe_stripes import CONFIG as CONFIG
from _recipe_stripes import make_model as make_model


class Spoilt(_recipe_stripes.Stripes):
    """Stripes until epoch 1."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return (image * float("nan"), label) if self.epoch[0] == 1 else (image, label)


def make_data(config: Any) -> Any:
    _, validation = _recipe_stripes.make_data(config)
    return Spoilt(208, config.image_size, config.seed), validation
