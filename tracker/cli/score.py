"""``reidtrack evaluate RUN --truth FOLDER``: a finished run scored against known people."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from reid.errors import BadInputError
from tracker.progress import Progress

if TYPE_CHECKING:
    from tracker.scoring import RunScores
    from tracker.scoring.metrics import TrackingScores

ONLY_RUNS = ("truth", "frames", "iou", "min_area")
BOTH = ("dataset", "out", "as_json")
SHARES = ("hota", "det_a", "ass_a", "idf1", "idp", "idr", "mota")
COUNTS = ("switches", "false", "missed", "people", "boxes")
NAMES = {"hota": "HOTA", "det_a": "DetA", "ass_a": "AssA"}


def check_options(context: click.Context, dataset: str, data: Path | None, truth: Path | None) -> None:
    """See that the argument and the options belong together.

    Raises:
        BadInputError: a run and no truth, a data set and truth or no folder, or options of the other kind.
    """
    from reid.datasets import DATASETS

    is_set = dataset in DATASETS
    if truth is not None and is_set and not Path(dataset).is_dir():
        raise BadInputError(f"--truth scores a run, and {dataset} is a data set; give a run directory, or --data")
    if truth is None and not is_set and Path(dataset).is_dir():
        raise BadInputError(f"{dataset}: a run is scored against known people; give their folder by --truth")
    if truth is None and data is None:
        raise BadInputError(
            f"{dataset}: --data is needed, the data set's folder; or give a run directory and its --truth"
        )
    ours = ONLY_RUNS if truth is None else [name for name in context.params if name not in (*ONLY_RUNS, *BOTH)]
    for parameter in context.command.params:
        if parameter.name in ours and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            kind = "a run is scored against --truth" if truth is None else "a data set is scored"
            raise BadInputError(f"{parameter.opts[0]} is for when {kind}; leave it out")


def prepare_folder(out: Path) -> None:
    """Make the folder for results before there are any.

    Raises:
        BadInputError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"--out {out}: cannot be a folder ({error.strerror}); give another") from None


def score(folder: Path, truth: Path, frames: str | None, iou: float, min_area: float, out: Path | None) -> Any:
    """Score a run; returns all figures, and the text for people to read."""
    from tracker.scoring import score_run
    from tracker.scoring.truth import parse_frames
    from tracker.store import Run, write_json

    if not 0 < iou <= 1:
        raise BadInputError(f"--iou {iou:g} is no overlap; give a number above 0, up to 1")
    if not 0 <= min_area < float("inf"):
        raise BadInputError(f"--min-area {min_area:g} is no area; give square pixels, 0 or more")
    progress = Progress()
    chosen = parse_frames(frames) if frames else None
    run = Run.open(folder)
    if out is not None:
        prepare_folder(out)
    scores = score_run(run, truth, progress.note, frames=chosen, iou=iou, min_area=min_area)
    figures = {"run": str(folder), "truth": str(truth), "iou": iou, "min_area": min_area, **scores.figures()}
    if out is not None:
        from tracker.scoring.figure import draw_scores

        write_json(out / "scores.json", figures)
        progress.note(f"picture: {draw_scores(out / 'scores.png', scores)}")
    return figures, describe(scores)


def describe(scores: "RunScores") -> str:
    """Tables and sentences for people to read on a terminal."""
    from tracker.cli.show import table
    from tracker.scoring.job import ALL

    header = ["", *(NAMES.get(name, name.upper()) for name in SHARES), *COUNTS]
    single = len(scores.frames) == 1
    parts = []
    for title, by_name in (("identities", scores.identities), ("tracklets, before linking", scores.tracklets)):
        rows = [_row(name, one) for name, one in by_name.items() if not (single and name == ALL)]
        parts.append(table([title, *header[1:]], rows))
    return "\n".join([*parts, "", *_sentences(scores)])


def _row(name: str, scores: "TrackingScores") -> list[str]:
    shares = (f"{getattr(scores, share):.2%}" if scores.boxes else "-" for share in SHARES)
    return [name, *shares, *(str(getattr(scores, count)) for count in COUNTS)]


def _sentences(scores: "RunScores") -> list[str]:
    from tracker.cli.show import table

    labels = scores.figures()["tracklets_by_truth"]
    joins, open_set, retrieval = scores.joins, scores.open_set, scores.retrieval
    lines = [
        f"tracklets: {labels['of_people']} of people, {labels['of_nobody']} of nobody, {labels['not_scored']} not"
        f" scored; {labels['purity']:.2%} of matched boxes are on their tracklet's person",
        f"joins: {_share(joins.precision)} of joined pairs are one person, {_share(joins.recall)} of one person's pairs"
        " are joined",
    ]
    if scores.idf1_several is not None:
        lines.append(f"IDF1 without identities of one camera (AI City Challenge): {scores.idf1_several:.2%}")
    if retrieval is None:
        lines.append("retrieval: nobody has tracklets in two cameras")
    else:
        figures = ", ".join(f"{name} {value:.2%}" for name, value in retrieval.figures().items())
        lines.append(f"retrieval by MARS rules: {figures}, {retrieval.queries} queries")
    if open_set is not None:
        rates = ", ".join(
            f"{identified:.2%} at {share:.0%} false alarms ({alarms} of {open_set.strangers} who are not)"
            for share, alarms, identified in open_set.rates
        )
        lines.append(
            f"identified, of {open_set.enrolled} who are enrolled: {rates},"
            f" {open_set.first:.2%} first without a threshold"
        )
    lost = scores.attribution
    detail = "" if lost.untracked is None else f"{lost.untracked:.2%} in no track, "
    rows = [
        ["detection", f"{lost.detection:.2%}", f"{lost.missed:.2%} people missed, {lost.false:.2%} boxes on nobody"],
        ["association", f"{lost.association:.2%}", f"{detail}{lost.broken:.2%} tracks broken"],
        ["impure tracklets", f"{lost.impure:.2%}", "several people in one"],
        ["linking", f"{lost.linking:.2%}", "joined wrongly or not at all"],
    ]
    return [*lines, "", table([f"IDF1 {lost.idf1:.2%}", "lost", "of it"], rows)]


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.2%}"
