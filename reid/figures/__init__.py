"""Pictures of what was learned. Each function writes one PNG, whole or not at all, and returns its path.

::

    ranked.py       queries with their nearest gallery images
    distances.py    distances of pairs of one person and of two
    curves.py       CMC curves; the course of a training
    comparison.py   losses side by side
    models.py       embedders side by side: how good, how fast, how large
    pair.py         two pictures, and whether they show one person
    reliability.py  whether calibrated probabilities come true
    site.py         a calibration refitted to a site
    style.py        the one look they share

An OSError of the disk passes through.
"""

from reid.figures.comparison import LossRow, loss_table
from reid.figures.curves import cmc_curves, training_curves
from reid.figures.distances import distance_histograms
from reid.figures.models import ModelPoint, model_chart
from reid.figures.pair import crop_pair
from reid.figures.ranked import Match, RankedList, ranked_lists
from reid.figures.reliability import reliability_diagram
from reid.figures.site import site_curve

__all__ = [
    "LossRow",
    "Match",
    "ModelPoint",
    "RankedList",
    "cmc_curves",
    "crop_pair",
    "distance_histograms",
    "loss_table",
    "model_chart",
    "ranked_lists",
    "reliability_diagram",
    "site_curve",
    "training_curves",
]
