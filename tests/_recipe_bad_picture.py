"""The stripes recipe, one of whose pictures cannot be read."""

from typing import Any

import _recipe_stripes
from _recipe_stripes import CONFIG as CONFIG
from _recipe_stripes import make_model as make_model

from gcvit_edu.data.folder import BadImage


class Spoilt(_recipe_stripes.Stripes):
    """Stripes but for picture 7."""

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise BadImage("the picture cats/7.png cannot be read")
        return super().__getitem__(index)


def make_data(config: Any) -> Any:
    _, validation = _recipe_stripes.make_data(config)
    return Spoilt(208, config.image_size, config.seed), validation
