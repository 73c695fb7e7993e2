"""The figures and tables of the book, in one visual language.

Each function but `table` draws with pyplot and leaves the figure current, as a notebook shows it.
"""

from gcvit_edu.viz.bar_panels import bar_panels
from gcvit_edu.viz.charts import bars, curves
from gcvit_edu.viz.interval_curves import interval_curves
from gcvit_edu.viz.intervals import intervals
from gcvit_edu.viz.matrices import number_grids
from gcvit_edu.viz.photos import (
    attention_on_photo,
    fields_on_photo,
    local_and_global,
    maps,
    maps_on_photo,
    pictures,
    windows_on_photo,
)
from gcvit_edu.viz.points import points
from gcvit_edu.viz.rearranged import rearranged
from gcvit_edu.viz.results import confusion, seeds
from gcvit_edu.viz.sizes import cells_on_photo, padding_on_photo
from gcvit_edu.viz.style import GLOBAL, GREY, LOCAL, PINK
from gcvit_edu.viz.table import Table, table
from gcvit_edu.viz.training import learning_curves

__all__ = [
    "GLOBAL",
    "GREY",
    "LOCAL",
    "PINK",
    "Table",
    "attention_on_photo",
    "bar_panels",
    "bars",
    "cells_on_photo",
    "confusion",
    "curves",
    "fields_on_photo",
    "interval_curves",
    "intervals",
    "learning_curves",
    "local_and_global",
    "maps",
    "maps_on_photo",
    "number_grids",
    "padding_on_photo",
    "pictures",
    "points",
    "rearranged",
    "seeds",
    "table",
    "windows_on_photo",
]
