"""``reidtrack compare``: whether two are the same person."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import EMBEDDERS_DEVICE

if TYPE_CHECKING:
    from tracker.side_by_side import Answer
    from tracker.side_by_side.sides import Side


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--prior", type=float, help="Probability that they are one person before looking, above 0, below 1. [default: 0.5]"
)
@click.option(
    "--among", type=int, metavar="N", help="B was found among N people, any of whom it might have been: prior 1/N."
)
@click.option("--embedder", help="A shipped model's name or an .onnx file. [default: the runs' own, else standard]")
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--montage", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the best pair.")
def compare(
    a: str,
    b: str,
    prior: float | None,
    among: int | None,
    embedder: str | None,
    device: str,
    as_json: bool,
    montage: Path | None,
) -> int:
    """Are A and B the same person? One probability, and what it rests on.

    \b
    reidtrack compare left.jpg right.jpg
    reidtrack compare person/ monday/gate/12 --montage pair.png
    reidtrack compare monday/gate/12 tuesday#3 --among 200

    A and B are each a picture of one person (a crop), a folder of crops of one person, a tracklet of a finished run,
    written RUN/RECORDING/NUMBER, or an identity of one, written RUN#NUMBER. Exit code 0 whatever the answer is.
    """
    from tracker.side_by_side import ask

    if prior is not None and among is not None:
        raise BadInputError("--prior and --among say the same thing; give one of them")
    if among is not None and among < 2:
        raise BadInputError(f"--among {among}: nobody to choose from; give at least 2 people")
    if montage is not None and montage.suffix.lower() != ".png":
        raise BadInputError(f"--montage {montage}: it is written as PNG; give a name that ends in .png")
    before = 1 / among if among is not None else 0.5 if prior is None else prior
    answer = ask(a, b, before, embedder, device)
    if montage is not None:
        draw(answer, montage)
    click.echo(json.dumps(record(answer), indent=1, ensure_ascii=False) if as_json else page(answer))
    return 0


def verdict(answer: "Answer") -> str:
    """The answer in a few words."""
    from tracker.report import sureness

    return f"{sureness(answer.probability)} the same person"


def page(answer: "Answer") -> str:
    """The answer, and below it what it rests on."""
    one, other = answer.pictures
    a, b = answer.sides
    lines = [
        verdict(answer),
        "",
        f"A            {_described(a)}",
        f"B            {_described(b)}",
        f"similarity   {answer.similarity:.3f}{_against_strangers(answer)}",
        f"best pair    {one.name} and {other.name}, similarity {answer.best_similarity:.3f}",
        f"before       {_prior(answer.prior)}",
        f"read by      the curve that is {answer.read_as}{_error(answer)}",
        *(f"note: {note}" for note in answer.notes),
    ]
    return "\n".join(lines)


def _described(side: "Side") -> str:
    count = len(side.pictures)
    parts = [f"{count} picture{'s' * (count != 1)}"]
    if len(side.tracklets) > 1:
        parts.append(f"{len(side.tracklets)} tracklets")
    if side.cameras:
        parts.append(f"camera{'s' * (len(side.cameras) > 1)} {', '.join(side.cameras)}")
    return f"{side.name}: {', '.join(parts)}"


def _against_strangers(answer: "Answer") -> str:
    """Thresholds by how many pairs of two people reach them."""
    known = [f"{similarity:.3f} is reached by 1 in {1 / rate:,.0f}" for rate, similarity, _ in answer.points]
    return f" (of pairs of two people {', '.join(known[1:3] or known)})" if known else ""


def _prior(prior: float) -> str:
    if prior == 0.5:
        return "even odds; where B was found among N people, give --among N"
    return f"{prior:.3g}, the probability without looking"


def _error(answer: "Answer") -> str:
    if answer.curve.error is None:
        return ""
    return f"; on people it was not fitted on, off by {answer.curve.error:.3f} on average"


def record(answer: "Answer") -> dict[str, Any]:
    """All of it, for programs; probabilities and shares 0..1."""
    one, other = answer.pictures
    return {
        "probability": answer.probability,
        "prior": answer.prior,
        "similarity": answer.similarity,
        "best_pair": {"a": one.name, "b": other.name, "similarity": answer.best_similarity},
        "curve": {
            "of": answer.read_as,
            "slope": answer.curve.slope,
            "intercept": answer.curve.intercept,
            "error": answer.curve.error,
        },
        "thresholds": [
            {"false_match_rate": rate, "similarity": similarity, "reached": answer.similarity >= similarity}
            for rate, similarity, _ in answer.points
        ],
        "model_id": answer.model_id,
        "a": _side(answer.sides[0]),
        "b": _side(answer.sides[1]),
        "notes": list(answer.notes),
    }


def _side(side: "Side") -> dict[str, Any]:
    return {
        "name": side.name,
        "cameras": list(side.cameras),
        "tracklets": [str(tracklet.key) for tracklet in side.tracklets],
        "centred": side.centred,
        "reliability": side.share,
        "pictures": [
            {"name": picture.name, "quality": round(picture.quality, 4), "faults": list(picture.faults)}
            for picture in side.pictures
        ],
    }


def draw(answer: "Answer", path: Path) -> None:
    """The best pair, side by side, with the answer under it."""
    from reid.figures import crop_pair
    from tracker.files import writing
    from tracker.report import sureness

    one, other = answer.pictures
    counts = " and ".join(f"{letter}'s {len(side.pictures)}" for letter, side in zip("AB", answer.sides, strict=True))
    basis = f"similarity {answer.similarity:.3f} of {counts} pictures; {sureness(answer.prior, 1)} before looking"
    with writing(path):
        crop_pair(path, one.image, other.image, (one.name, other.name), verdict(answer), basis)
