import numpy as np
import pytest

from reid.datasets import DATASETS, TrackletSet, load_dataset
from reid.errors import BadInputError, DataError
from reid.evaluation import MARS_NOTES, evaluate_dataset, evaluate_split
from tests.datasets.miniatures import MINIATURES
from tests.helpers import COLOURS, market_folder, write_image


def colour(images):
    return np.stack([image.mean((0, 1)) + 1 for image in images]).astype(np.float32)


def silent(line):
    pass


def by_protocol(*protocols):
    names = [name for name, source in DATASETS.items() if source.protocol in protocols]
    return pytest.mark.parametrize("name", names)


@pytest.fixture
def evaluate(tmp_path):
    """Evaluate a data set's miniature with an embedder that sees colours."""

    def run(name, **options):
        return evaluate_dataset(name, MINIATURES[name](tmp_path / "set"), colour, silent, **options)

    return run


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_scored_by_its_protocol(name, evaluate):
    found = evaluate(name)
    assert found.protocol == DATASETS[name].protocol
    assert list(found.notes) == list(found.scores)
    assert (found.details, found.query, found.gallery) == (None, None, None)
    for scores in found.scores.values():
        figures = scores.figures()
        assert all(0 <= share <= 1 for share in figures.values())
        assert figures["mAP"] > 0  # everyone has the same colour, and the match is in the gallery


@by_protocol("market1501")
def test_market_rule(name, evaluate):
    found = evaluate(name, details=True)
    assert list(found.scores) == ["single query"]
    assert len(found.details.nearest) == len(found.query)
    assert found.details.nearest.max() < len(found.gallery)


@by_protocol("single_shot")
def test_single_shot_averages_over_splits(name, evaluate):
    found = evaluate(name, details=True)
    scores = found.scores["single shot"]
    assert list(found.scores) == ["single shot"]
    assert scores.runs == DATASETS[name].splits > 1
    assert scores.queries == scores.valid >= scores.runs
    assert len(scores.cmc_deviation) == 50
    assert len(found.details.nearest) == len(found.query)  # of the first split
    assert found.details.match.any(1).all()


def test_mars_reports_every_reading(evaluate):
    found = evaluate("mars", details=True)
    assert list(found.scores) == list(MARS_NOTES)
    assert found.notes == MARS_NOTES
    assert isinstance(found.gallery, TrackletSet)
    official = found.scores["official"]
    assert (official.queries, official.valid) == (2, 2)


def test_person_search_with_true_boxes(evaluate, tmp_path):
    scores = evaluate("cuhk_sysu", details=True).scores["search"]
    assert (scores.queries, scores.gallery_size, scores.detection_recall) == (2, 100, 1)
    with pytest.raises(BadInputError, match="no galleries of 4000 frames; choose one of 50, 100"):
        evaluate_dataset("cuhk_sysu", tmp_path / "set", colour, silent, gallery_size=4000)


def test_multi_query_and_rerankers_add_variants(tmp_path):
    folder = market_folder(tmp_path)
    for person, rgb in enumerate(COLOURS, 1):
        write_image(folder / "gt_bbox" / f"{person:04}_c1s1_000002_00.jpg", rgb, seed=9)
    rerankers = {"squared": lambda q, g: iter([(1 - q @ g.T / 1e6) ** 2]), "constant": lambda q, g: iter([0 * q @ g.T])}
    found = evaluate_dataset("market1501", folder, colour, silent, multi_query=True, rerankers=rerankers)
    asked = ["single query", "multi query, mean", "multi query, max"]
    assert list(found.scores) == [f"{a}{r}" for a in asked for r in ("", ", squared", ", constant")]
    assert all(found.scores[name].mean_ap == 1 for name in asked)
    assert found.scores["single query, constant"].mean_ap < 1
    assert found.notes["multi query, max, constant"].startswith("the element-wise maximum")
    assert found.notes["multi query, max, constant"].endswith("re-ranked by constant, identity -1 left out first")
    assert found.scores["single query"] == evaluate_split(load_dataset("market1501", folder), colour, silent)


def test_local_distance_adds_a_variant(tmp_path):
    def stripes(images):
        return np.stack([image.mean((0, 1))[None] / 100 for image in images]).astype(np.float32)

    found = evaluate_dataset("market1501", market_folder(tmp_path), colour, silent, local=stripes, aligned=3)
    assert list(found.scores) == ["single query", "single query, local distance"]
    assert found.scores["single query, local distance"].mean_ap == 1
    assert found.notes["single query, local distance"].endswith(
        "re-ranked by local distance, identity -1 left out first"
    )
    folder = MINIATURES["tracklet_folder"](tmp_path / "tracklets")
    with pytest.raises(BadInputError, match="local distance is for images"):
        evaluate_dataset("tracklet_folder", folder, colour, silent, local=stripes, aligned=3)


@by_protocol("single_shot", "mars", "search")
def test_options_of_another_protocol_are_refused_before_anything_is_read(name, tmp_path):
    for options in ({"multi_query": True}, {"rerankers": {"none": lambda q, g: iter([])}}, {"local": colour}):
        with pytest.raises(BadInputError, match=f"{name} is scored by its own protocol"):
            evaluate_dataset(name, tmp_path / "absent", colour, silent, **options)


def test_what_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(BadInputError, match="'imagenet' is unknown; choose one of"):
        evaluate_dataset("imagenet", tmp_path, colour, silent)
    with pytest.raises(DataError, match="no such folder"):
        evaluate_dataset("market1501", tmp_path / "absent", colour, silent)
    MINIATURES["cuhk03_np"](tmp_path / "trains", parts=("bounding_box_train",))
    with pytest.raises(DataError, match=r"no test part \(query and gallery\)"):
        evaluate_dataset("cuhk03_np", tmp_path / "trains", colour, silent)


def test_tracklets_are_pooled_as_asked(tmp_path):
    folder = MINIATURES["tracklet_folder"](tmp_path)
    for pooling in ("mean", "max"):
        assert evaluate_dataset("tracklet_folder", folder, colour, silent, pooling=pooling).scores
    with pytest.raises(BadInputError, match="pooling 'median' is unknown"):
        evaluate_dataset("tracklet_folder", folder, colour, silent, pooling="median")
