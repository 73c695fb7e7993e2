"""The figures of the book, in one visual language.

Each function draws with pyplot and leaves the figure current, as a notebook shows it.
"""

from gcvit_edu.viz.charts import bars, curves
from gcvit_edu.viz.matrices import number_grids
from gcvit_edu.viz.photos import attention_on_photo, local_and_global, pictures, windows_on_photo
from gcvit_edu.viz.style import CYCLE, GLOBAL, LOCAL

__all__ = [
    "CYCLE",
    "GLOBAL",
    "LOCAL",
    "attention_on_photo",
    "bars",
    "curves",
    "local_and_global",
    "number_grids",
    "pictures",
    "windows_on_photo",
]
