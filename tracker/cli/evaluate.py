"""``reidtrack evaluate``: an embedder's scores by a data set's published protocol, or a run's against known people."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import EMBEDDERS_DEVICE, ManyValues
from tracker.cli.learn import FOLDER
from tracker.cli.score import check_options, prepare_folder, score
from tracker.progress import Progress

if TYPE_CHECKING:
    from reid.datasets import Labelled
    from reid.datasets.splits import Part
    from reid.embed import Embedder
    from reid.evaluation import Evaluation
    from reid.evaluation.embedding import Embed
    from reid.evaluation.images import Reranker
    from reid.evaluation.people import Detect
    from reid.foreign import ForeignEmbedder
    from reid.images import Image
    from reid.network import Network

LISTS = 10  # queries on the picture of ranked lists


@click.command(cls=ManyValues)
@click.argument("dataset", metavar="DATASET|RUN")
@click.option("--data", type=FOLDER, help="The data set's folder.")
@click.option(
    "--model",
    default=None,
    help="A shipped name, an exported .onnx, a checkpoint, or somebody else's FILE,like=torchreid. [default: shipped]",
)
@click.option("--out", type=FOLDER, help="Folder for scores.json and pictures: ranked lists, distances, CMC.")
@click.option("--pool", type=click.Choice(["mean", "max"]), help="Tracklets' frames. [default: max on MARS, else mean]")
@click.option("--multi-query", is_flag=True, help="Also score several images a query (Market-1501's gt_bbox).")
@click.option(
    "--rerank",
    multiple=True,
    metavar="NAME...",
    help="Also score re-ranked, with options such as k_reciprocal,k1=20; an unknown name lists them.",
)
@click.option("--memory", default="1GB", show_default=True, help="The most that re-ranking may use beyond the vectors.")
@click.option("--aligned", type=click.IntRange(1), metavar="M", help="Also re-score the first M by local distance.")
@click.option(
    "--part",
    type=click.Choice(["test", "train"]),
    default="test",
    show_default=True,
    help="train: query and gallery made of the images to train on, for a model that never saw the set.",
)
@click.option("--hold-out", default=0, help="Of a set without a test part: the N people that `train` held out.")
@click.option("--gallery-size", default=100, show_default=True, help="Person search: frames in a query's gallery.")
@click.option(
    "--detector", default="yolov8n", show_default=True, help="Person search: a detector, or none for annotated boxes."
)
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--truth", type=FOLDER, help="A run: folder of MOT-Challenge files NAME.txt, ids the same everywhere.")
@click.option("--frames", metavar="A:B[:STEP]", help="A run: frames that truth labels. [default: inferred, and said]")
@click.option("--iou", default=0.5, show_default=True, help="A run: least overlap of a found box with the true one.")
@click.option("--min-area", default=0.0, help="A run: square pixels below which boxes are left out.")
@click.pass_context
def evaluate(
    context: click.Context,
    dataset: str,
    data: Path | None,
    model: str | None,
    out: Path | None,
    pool: Any,
    multi_query: bool,
    rerank: tuple[str, ...],
    memory: str,
    aligned: int | None,
    part: "Part",
    hold_out: int,
    gallery_size: int,
    detector: str,
    device: str,
    as_json: bool,
    truth: Path | None,
    frames: str | None,
    iou: float,
    min_area: float,
) -> int:
    """Score an embedder by a data set's published protocol: CMC, mAP, mINP, beside their known variants. Or score a
    finished run against known people: HOTA, IDF1, MOTA, retrieval, and which stage lost how much.

    \b
    reidtrack evaluate market1501 --data Market-1501-v15.09.15
    reidtrack evaluate market1501 --data Market-1501-v15.09.15 --rerank k_reciprocal --out scores
    reidtrack evaluate cuhk03_np --data cuhk03_np --part train
    reidtrack evaluate reidtrack-out --truth truth --out scores
    """
    check_options(context, dataset, data, truth)
    if truth is not None:
        figures, text = score(Path(dataset), truth, frames, iou, min_area, out)
        click.echo(json.dumps(figures) if as_json else text)
        return 0
    assert data is not None  # check_options has seen to it
    from reid.datasets import DATASETS
    from reid.evaluation import evaluate_dataset

    if out is not None:
        prepare_folder(out)
    rerankers = {text: parse_reranker(text, parse_bytes(memory)) for text in rerank}
    progress = Progress()
    embedder = open_embedder(model, device)
    searching = dataset in DATASETS and DATASETS[dataset].protocol == "search"
    result = evaluate_dataset(
        dataset,
        data,
        embedder,
        progress.note,
        pooling=pool,
        multi_query=multi_query,
        rerankers=rerankers,
        local=local_branch(embedder) if aligned else None,
        aligned=aligned or 0,
        detect=detections(detector, device) if searching and detector != "none" else None,
        gallery_size=gallery_size,
        details=out is not None,
        part=part,
        held_out=hold_out,
    )
    scores = {
        "model": embedder.model_id,
        "dataset": dataset,
        "part": part,
        "protocol": result.protocol,
        "scores": {
            variant: {**one.figures(), "about": result.notes[variant]} for variant, one in result.scores.items()
        },
    }
    if out is not None:
        from tracker.store import write_json

        write_json(out / "scores.json", scores)
        for picture in draw(result, out, embedder.model_id):
            progress.note(f"picture: {picture}")
    click.echo(json.dumps(scores) if as_json else score_table(result, embedder.model_id))
    return 0


def score_table(result: "Evaluation", model_id: str) -> str:
    """One row a variant, and below the table what each variant is."""
    from tracker.cli.show import table

    first = next(iter(result.scores.values())).figures()
    rows = []
    for variant, scores in result.scores.items():
        figures = scores.figures()
        rows.append([variant, *(f"{figures[name]:.2%}" for name in first), str(scores.queries)])
    lines = [f"model {model_id}", table(["variant", *first, "queries"], rows)]
    return "\n".join([*lines, *(f"{variant}: {note}" for variant, note in result.notes.items())])


def draw(result: "Evaluation", out: Path, model_id: str) -> list[Path]:
    """Pictures of an evaluation, as far as its protocol has them."""
    from reid.evaluation import RetrievalScores
    from reid.figures import Match, RankedList, cmc_curves, distance_histograms, ranked_lists

    curves = {f"{model_id}, {name}": one.cmc for name, one in result.scores.items() if isinstance(one, RetrievalScores)}
    pictures = [cmc_curves(out / "cmc.png", curves)] if curves else []
    details, query, gallery = result.details, result.query, result.gallery
    if details is None or query is None or gallery is None:
        return pictures
    if details.positive.any() and details.negative.any():
        pictures.append(distance_histograms(out / "distances.png", details.edges, details.positive, details.negative))
    lists = []
    for row in sorted({i * len(query) // LISTS for i in range(LISTS)}):
        found = [
            Match(picture(gallery, int(j)), bool(right), float(distance), int(gallery.camera[j]))
            for j, right, distance in zip(details.nearest[row], details.match[row], details.distance[row], strict=True)
            if j >= 0
        ]
        if found:
            title = f"identity {query.pid[row]}, camera {query.camera[row]}"
            lists.append(RankedList(picture(query, row), title, found))
    return [*pictures, ranked_lists(out / "ranked.png", lists)] if lists else pictures


def picture(items: "Labelled", row: int) -> "Image":
    """An image, or a tracklet's middle frame."""
    from reid.datasets import ImageSet
    from reid.images import read_image

    if isinstance(items, ImageSet):
        return items.read(row)
    return read_image(items.frames[row][len(items.frames[row]) // 2])


def open_embedder(model: str | None, device: str) -> "Embedder | Network | ForeignEmbedder":
    """An embedder by shipped name, exported file, training checkpoint, or as ``parse_declaration`` reads it."""
    from reid.embed import DEFAULT_EMBEDDER, Embedder
    from reid.foreign import ForeignEmbedder, parse_declaration
    from reid.network import Network
    from reid.runtime import resolve_device

    declared = parse_declaration(model) if model and not Path(model).is_file() else None
    if declared is not None:
        return ForeignEmbedder(*declared, device)
    if model and model.endswith(".pt"):
        return Network(Path(model), resolve_device(device))
    return Embedder(model or DEFAULT_EMBEDDER, device)


def local_branch(embedder: "Embedder | Network | ForeignEmbedder") -> "Embed":
    """What gives AlignedReID's stripes.

    Raises:
        BadInputError: an exported file has none.
    """
    from reid.network import Network

    if not isinstance(embedder, Network):
        raise BadInputError(
            "--aligned needs the training's checkpoint (--model last.pt): exported files have no stripes"
        )
    return embedder.local


def detections(source: str, device: str) -> "Detect":
    """The application's detector for ``evaluate_search``: one RGB frame to boxes and scores."""
    from reid.runtime import resolve_device
    from tracker.detect import YoloDetector

    detector = YoloDetector(source, resolve_device(device))

    def detect(image: "Image") -> Any:
        (found,) = detector([image[:, :, ::-1]])
        return found.xyxy, found.score

    return detect


def parse_reranker(text: str, memory: int) -> "Reranker":
    """``k_reciprocal,k1=20,k2=6`` to a re-ranking with those options.

    Raises:
        BadInputError: an unknown re-ranking or option, or a value that does not fit.
    """
    from functools import partial

    from reid.options import read_option
    from reid.rerank import RERANKERS

    name, *parts = text.split(",")
    if name not in RERANKERS:
        raise BadInputError(f"--rerank: {name!r} is unknown; choose from {', '.join(RERANKERS)}")
    options = {}
    for part in parts:
        option, _, value = part.partition("=")
        options[option] = read_option(RERANKERS[name], f"--rerank: {name}", option, value)
    return partial(RERANKERS[name], **{"memory_bytes": memory, **options})


def parse_bytes(text: str) -> int:
    """A size such as ``512MB`` or ``4 GiB`` in bytes; all units are powers of 1024.

    >>> parse_bytes("1.5GB"), parse_bytes("64 mib")
    (1610612736, 67108864)
    """
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in units else ""
    try:
        size = int(float(number.removesuffix(unit)) * units[unit])
        if size < 1:
            raise ValueError
    except (ValueError, OverflowError):
        raise BadInputError(f"--memory {text!r}; write a size such as 512MB or 4GB") from None
    return size
