"""A finished run scored against the truth: ``reidtrack evaluate RUN --truth FOLDER``.

::

    truth.py        the truth's folder and files, which frames were labelled
    found.py        what the run found, from its directory
    boxes.py        boxes of people as arrays, MOT-Challenge lines, matching
    scene.py        one recording without what is neither right nor wrong
    identity.py     identities given to people, for IDF1
    metrics.py      HOTA, IDF1, MOTA, per camera and across cameras
    retrieval.py    the run's tracklets scored as MARS is, and open-set identification
    agreement.py    groups of tracklets against people, pair by pair
    attribution.py  which stage lost how much identity score
    job.py          all of it
    figure.py       the picture
"""

from tracker.scoring.job import RunScores, score_run

__all__ = ["RunScores", "score_run"]
