"""The figures of the book, in one visual language.

Each function draws with pyplot and leaves the figure current, as a notebook shows it.
"""

from gcvit_edu.viz.charts import bars, curves
from gcvit_edu.viz.matrices import number_grids
from gcvit_edu.viz.photos import attention_on_photo, fields_on_photo, local_and_global, pictures, windows_on_photo
from gcvit_edu.viz.style import GLOBAL, GREY, LOCAL, PINK

__all__ = [
    "GLOBAL",
    "GREY",
    "LOCAL",
    "PINK",
    "attention_on_photo",
    "bars",
    "curves",
    "fields_on_photo",
    "local_and_global",
    "number_grids",
    "pictures",
    "windows_on_photo",
]
