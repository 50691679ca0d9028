"""Repair of one recording's tracklets before they are linked to identities: what a tracker could not know at the time.

::

    divide.py    tracklets that pass from one person to another become one for each
    discard.py   twins on the same boxes, things that never move, and noise are dropped
    fill.py      fragments go into the gaps of their person's track
    join.py      fragments of one person become one tracklet
    vectors.py   tracklets and their crops' vectors, kept together

Every repair takes the tracklets of one recording, the embedder's own curve and how long the recording is. It depends
on nothing else, so that neither adding a recording nor fitting a curve to the site renames anybody. To add one, write a
function like these and a line in ``REPAIRS``, at its place in the order: division comes first, since nothing later
divides what was joined wrongly, and noise is known best once fragments are joined.
"""

from collections.abc import Callable, Iterable, Sequence

from reid.calibration import Curve
from tracker.repair.discard import discard_noise, discard_still, discard_twins
from tracker.repair.divide import divide
from tracker.repair.fill import fill
from tracker.repair.join import join
from tracker.repair.vectors import expect_same
from tracker.types import Embeddings, Tracklet

Repair = Callable[[Sequence[Tracklet], Embeddings, Curve, float], tuple[list[Tracklet], Embeddings]]

REPAIRS: dict[str, Repair] = {
    "divide": divide,
    "twins": discard_twins,
    "fill": fill,
    "join": join,
    "still": discard_still,
    "noise": discard_noise,
}


def repair(
    tracklets: Sequence[Tracklet],
    embeddings: Embeddings,
    curve: Curve,
    seconds: float,
    repairs: Iterable[str] = tuple(REPAIRS),
) -> tuple[list[Tracklet], Embeddings]:
    """Repair one recording's tracklets.

    Args:
        tracklets: n, all that the recording has.
        embeddings: theirs.
        curve: the embedder's own, from cosine similarities of centred tracklets to the probability of one person.
        seconds: of the recording, from its first frame to its last.
        repairs: keys of ``REPAIRS``, in this order.

    Returns:
        The tracklets that remain, and the vectors of their crops.

    Raises:
        ValueError: embeddings of other tracklets.
    """
    expect_same(tracklets, embeddings)
    whole = list(tracklets)
    for name in repairs:
        whole, embeddings = REPAIRS[name](whole, embeddings, curve, seconds)
    return whole, embeddings
