"""The stripes recipe, one of whose pictures cannot be read."""

import runpy
from pathlib import Path
from typing import Any

from gcvit_edu.data.folder import BadImage

_STRIPES = runpy.run_path(str(Path(__file__).with_name("_recipe_stripes.py")))
CONFIG, make_model = _STRIPES["CONFIG"], _STRIPES["make_model"]


class Spoilt(_STRIPES["Stripes"]):
    """Stripes but for picture 7."""

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise BadImage("the picture cats/7.png cannot be read")
        return super().__getitem__(index)


def make_data(config: Any) -> Any:
    _, validation = _STRIPES["make_data"](config)
    return Spoilt(208, config.image_size, config.seed), validation
