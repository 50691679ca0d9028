"""The gate: no artifact is left in place unless it equals what it was made from.

============== ===================================================================================================
types.py       what is compared, what each precision may cost, what was found
batches.py     the crops that are always tried: batches, odd sizes, corrupted and black
candidates.py  a file as its calls, one for every runtime that works here
layers.py      which layer of a network is the first to differ
accuracy.py    mAP, rank-1 and thresholds on data sets
running.py     all of it, in order; what does not pass raises
picture.py     a report as a picture
============== ===================================================================================================
"""

from export.gate.running import run_gate
from export.gate.types import (
    LIMITS,
    THRESHOLD_DRIFT,
    Candidate,
    Check,
    Floats,
    GateError,
    GateReport,
    Layers,
    Limits,
    Prepare,
    Reference,
    Report,
)

__all__ = [
    "LIMITS",
    "THRESHOLD_DRIFT",
    "Candidate",
    "Check",
    "Floats",
    "GateError",
    "GateReport",
    "Layers",
    "Limits",
    "Prepare",
    "Reference",
    "Report",
    "run_gate",
]
