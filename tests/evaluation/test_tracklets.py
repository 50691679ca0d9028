import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from reid.datasets import ImageSet, Split, load_dataset
from reid.errors import DataError
from reid.evaluation import MARS_NOTES, Collector, mars_query_rows, mars_scores
from tests.datasets.miniatures import mars
from tests.evaluation.loops import unit_rows
from tests.losses.worked import WORKED

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "mars_protocol.tar.xz"


def test_worked_tracklets():
    worked = WORKED["mars_mini"]
    tracks = np.array(worked["tracks"])
    frames = np.random.RandomState(3).rand(13, 4)
    features = np.stack([frames[first - 1 : last].mean(0) for first, last, _, _ in tracks])
    scores = mars_scores(features, tracks[:, 2], tracks[:, 3], np.array(worked["query_IDX"]) - 1)
    assert list(scores) == list(MARS_NOTES)
    official, torchreid, ap3d = scores.values()
    expected = worked["official_gallery_all"]
    assert (official.queries, official.valid) == (4, 4)
    assert official.mean_ap == pytest.approx(worked["mAP_all"])
    assert official.mean_ap_trapezoid == pytest.approx(np.mean([query["ap_trap"] for query in expected]))
    assert official.mean_inp == pytest.approx(np.mean([query["inp"] for query in expected]))
    assert official.cmc[:5] == pytest.approx([np.mean([q["first"] <= r for q in expected]) for r in range(1, 6)])
    assert ap3d == official
    assert (torchreid.queries, torchreid.valid) == (4, worked["valid_minus"])
    assert (torchreid.mean_ap, torchreid.cmc_valid[:2]) == (0.5, (0, 1))


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="MARS' published tables are not on this machine")
def test_the_official_tables_at_full_scale(tmp_path):
    with tarfile.open(PUBLISHED) as archive:
        for name in ("tracks_test_info", "query_IDX"):
            archive.extract(f"mars_protocol/{name}.mat", tmp_path, filter="data")
    folder = tmp_path / "mars_protocol"
    pid, camera = loadmat(folder / "tracks_test_info.mat")["track_test_info"][:, 2:].astype(np.int64).T
    query = loadmat(folder / "query_IDX.mat")["query_IDX"].ravel().astype(np.int64) - 1
    rng = np.random.RandomState(0)
    centres = rng.randn(1501, 32)
    features = rng.randn(len(pid), 32)
    features[pid > 0] += centres[pid[pid > 0]]
    official, torchreid, ap3d = mars_scores(unit_rows(features), pid, camera, query).values()

    def printed(*values):
        return [f"{value:.6f}" for value in values]

    assert (len(pid), official.queries, official.valid) == (12180, 1980, 1980)
    assert printed(official.mean_ap, official.mean_ap_trapezoid) == ["0.379157", "0.358500"]
    assert printed(official.mean_inp, official.rank(1), official.rank(5)) == ["0.115373", "0.574242", "0.787374"]
    assert ap3d == official
    assert (torchreid.queries, torchreid.valid) == (1980, 1840)
    assert printed(torchreid.mean_ap, torchreid.cmc_valid[0]) == ["0.387944", "0.549457"]
    assert printed(torchreid.mean_ap_all, torchreid.rank(1)) == ["0.360513", "0.510606"]


def test_details_are_of_the_official_variant():
    rng = np.random.default_rng(0)
    pid, camera = np.array([5, 5, 5, 8, 8, 0, -1]), np.array([1, 2, 2, 1, 3, 2, 3])
    collector = Collector()
    mars_scores(rng.normal(size=(7, 4)), pid, camera, np.array([0, 1, 3, 4]), collector)
    details = collector.details()
    assert details.nearest.shape == (4, 10)
    assert sorted(details.nearest[0].tolist()) == [
        -1,
        -1,
        -1,
        -1,
        -1,
        1,
        2,
        3,
        4,
        5,
    ]  # the table's rows, without itself


def test_query_rows_of_a_folder(tmp_path):
    split = load_dataset("mars", mars(tmp_path))
    rows = mars_query_rows(split)
    assert rows.tolist() == [2, 3]
    assert [split.gallery.frames[row] for row in rows] == list(split.query.frames)
    with pytest.raises(DataError, match=r"0002C1T0001F001.jpg: 1 query tracklets are not in the gallery"):
        mars_query_rows(Split(split.train, split.query, split.gallery.take(np.array([0, 3, 5]))))
    image = ImageSet((Path("a"),), np.array([1]), np.array([1]))
    with pytest.raises(DataError, match="scored on tracklets"):
        mars_query_rows(Split(image, image, image))
