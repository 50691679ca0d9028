"""Embedders side by side: opening them, fair timing, scores that are kept, the table and its picture."""

import contextlib
import json

import numpy as np
import pytest

from reid.bench import models as bench
from reid.bench.models import bench_models, open_models
from reid.bench.speed import measure_speed
from reid.datasets import load_dataset
from reid.embed import EMBEDDERS, Embedder
from reid.errors import BadInputError, DataError, ModelError
from reid.evaluation import evaluate_split
from reid.figures.models import ModelPoint, model_chart
from reid.model import EmbeddingModel, save_model
from tests.datasets.miniatures import MINIATURES
from tests.helpers import CARD, colour_embedder, market_folder
from tests.test_foreign import mean_model
from tracker.cli import main


def nothing(*given):
    pass


@contextlib.contextmanager
def stage(name, total, unit):
    yield nothing


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    return market_folder(tmp_path_factory.mktemp("market"))


@pytest.fixture
def two(tmp_path):
    """Our file and somebody else's, as they are described."""
    own = colour_embedder(tmp_path / "own.onnx")
    return [str(own), f"other={mean_model(tmp_path / 'mean.onnx')},like=openvino"]


def test_every_kind_of_model_opens_by_its_description(tmp_path, two):
    folder = tmp_path / "training"
    folder.mkdir()
    network = EmbeddingModel("osnet_x0_25", 16, 0, (32, 16))
    save_model(network, folder / "last.pt")
    models = open_models([*two, str(folder / "last.pt"), f"again={two[0]}"])
    assert list(models) == ["own", "other", "training", "again"]
    own, other, training, again = models.values()
    assert (own.parameters, own.dim, own.input, own.own) == (CARD.parameters, 3, (8, 4), True)
    assert (other.parameters, other.dim, other.input, other.own) == (3, 3, (8, 4), False)
    assert (training.dim, training.input, training.own) == (16, (32, 16), True)
    assert training.parameters == sum(one.numel() for one in network.parameters())
    assert training.size_bytes == (folder / "last.pt").stat().st_size
    assert own.digest == again.digest
    assert len({own.digest, other.digest, training.digest}) == 3


def test_other_preprocessing_is_scored_anew(two):
    (one,) = open_models([two[1]]).values()
    (other,) = open_models([two[1].replace("like=openvino", "like=openvino,colour=rgb")]).values()
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("nowhere.onnx", ModelError, "nowhere.onnx: no such embedder"),
        ("a=nowhere.onnx", ModelError, "^nowhere.onnx: no such embedder"),
        ("nowhere.onnx,like=torchreid", ModelError, "nowhere.onnx: no such model"),
        ("nowhere.pt", ModelError, "nowhere.pt: no such checkpoint"),
        ("nowhere.xml", BadInputError, "say how it wants its crops, such as nowhere.xml,like=openvino"),
        ("nowhere.onnx,like=it", BadInputError, "like=it is unknown"),
        ("", BadInputError, "without a name or file"),
    ],
)
def test_a_model_that_cannot_be_opened_is_named(text, kind, message):
    with pytest.raises(kind, match=message) as caught:
        open_models([text])
    assert "\n" not in str(caught.value)


def test_a_foreign_file_without_preprocessing_is_told_what_to_say(two):
    path = two[1].removeprefix("other=").removesuffix(",like=openvino")
    with pytest.raises(ModelError, match=r"if somebody else made it, say how it wants its crops: .*,like=torchreid"):
        open_models([path])


def test_two_models_of_one_name_are_refused(two):
    with pytest.raises(BadInputError, match="two models are called own; name one of them"):
        open_models([two[0], two[0]])


def test_every_round_times_every_model_in_turn():
    calls = []

    def model(name):
        return lambda crops: calls.append((name, len(crops), crops[0].shape, crops[0].dtype))

    speeds = measure_speed({"a": model("a"), "b": model("b")}, 2, nothing)
    one_round = [("a", 1)] * 16 + [("a", 16)] + [("b", 1)] * 16 + [("b", 16)]
    assert [call[:2] for call in calls] == one_round * 3  # one to warm up
    assert {call[2:] for call in calls} == {((128, 64, 3), np.dtype(np.uint8))}
    assert list(speeds) == ["a", "b"]


def test_the_speed_is_the_median_a_crop(monkeypatch):
    clock = iter([0, 99, 0, 99, 0, 1.6, 0, 3.2, 0, 160, 0, 0.16, 0, 3.2, 0, 1.6])  # began and ended, singly and by 16
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert measure_speed({"a": nothing}, 3, nothing)["a"] == pytest.approx((200, 100))


def test_scores_are_those_of_the_protocol(market, two):
    models = open_models(two)
    rows = bench_models(models, {"market1501": market}, 1, None, nothing, stage)
    assert [row.name for row in rows] == ["own", "other"]
    for row in rows:
        scores = evaluate_split(load_dataset("market1501", market), models[row.name].embed, nothing)
        assert row.scores["market1501"] == (scores.mean_ap, scores.rank(1))
        assert min(row.speed) > 0


def test_a_run_continues_where_it_was_interrupted(market, two, tmp_path, monkeypatch):
    out, data = tmp_path / "table", {"market1501": market, "mars": MINIATURES["mars"](tmp_path / "mars")}
    score, scored = bench.evaluate_dataset, []

    def interrupted(name, folder, embed, report, **how):
        if len(scored) == 3:
            raise InterruptedError
        scored.append(name)
        return score(name, folder, embed, report, **how)

    monkeypatch.setattr(bench, "evaluate_dataset", interrupted)
    with pytest.raises(InterruptedError):
        bench_models(open_models(two), data, 1, out, nothing, stage)
    assert len(scored) == 3
    scored[:] = ["none yet"]
    rows = bench_models(open_models(two), data, 1, out, nothing, stage)
    assert scored == ["none yet", "mars"]
    assert [list(row.scores) for row in rows] == [["market1501", "mars"]] * 2
    scored.clear()
    fresh = bench_models(open_models(two), {"market1501": market}, 1, None, nothing, stage)
    assert [row.scores["market1501"] for row in rows] == [row.scores["market1501"] for row in fresh]


def test_a_folder_that_changed_is_scored_anew(two, tmp_path):
    market, out, stages = MINIATURES["market1501"](tmp_path / "market"), tmp_path / "table", []

    @contextlib.contextmanager
    def counted(name, total, unit):
        stages.append([name, total, 0])
        yield lambda count: stages[-1].__setitem__(2, stages[-1][2] + count)

    models = open_models(two[:1])
    bench_models(models, {"market1501": market}, 1, out, nothing, counted)
    bench_models(models, {"market1501": market}, 1, out, nothing, counted)
    assert stages == [["own on market1501", 10, 10]]  # 4 queries and 6 in the gallery, once
    (market / "query" / "0001_c1s1_000001_00.png").rename(market / "query" / "0001_c3s1_000001_00.png")
    bench_models(models, {"market1501": market}, 1, out, nothing, counted)
    assert len(stages) == 2  # another camera's


@pytest.mark.parametrize("name", ["mars", "viper", "cuhk_sysu"])
def test_the_stage_knows_how_many_crops(two, tmp_path, name):
    stages = []

    @contextlib.contextmanager
    def counted(stage, total, unit):
        stages.append([total, 0])
        yield lambda count: stages[-1].__setitem__(1, stages[-1][1] + count)

    rows = bench_models(open_models(two[:1]), {name: MINIATURES[name](tmp_path / name)}, 1, None, nothing, counted)
    assert all(0 <= share <= 1 for share in rows[0].scores[name])
    ((total, done),) = stages
    assert done > 0
    assert total == (0 if name == "cuhk_sysu" else done)


def test_the_training_part_is_scored_where_asked_for(market, two):
    rows = bench_models(open_models(two[:1]), {"market1501": market}, 1, None, nothing, stage, part="train")
    assert rows[0].scores["market1501"].rank1 == 1  # each person is a colour


def test_foreign_scores_are_refused(two, tmp_path):
    (tmp_path / "scores.json").write_text('{"model": "a", "dataset": "b"}')
    with pytest.raises(DataError, match=r"scores.json: not the scores of `reidtrack bench models`; choose another"):
        bench_models(open_models(two[:1]), {}, 1, tmp_path, nothing, stage)


def test_the_table_on_the_command_line(market, two, tmp_path, capsys):
    out = tmp_path / "table"
    arguments = ["bench", "models", *two, "--data", f"market1501={market}", "--rounds", "1", "--out", str(out)]
    assert main(arguments) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    header, *lines = said.out.splitlines()
    assert header.split("  ")[0] == "model"
    assert header.endswith("market1501 mAP / R1")
    assert [line.split()[0] for line in lines] == ["own", "other"]
    assert lines[0].endswith("100.0 / 100.0")
    assert "own on market1501: mAP 100.00%, R1 100.00%" in said.err
    assert (out / "models.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((out / "models.json").read_text())
    assert [one["model"] for one in record] == ["own", "other"]
    assert record[0]["scores"] == {"market1501": {"mean_ap": 1.0, "rank1": 1.0}}
    assert main(arguments) == 0
    assert "to score" not in (again := capsys.readouterr()).err
    assert "mAP" not in again.err  # nothing is scored again
    assert [line.split()[0] for line in again.out.splitlines()[1:]] == ["own", "other"]


def test_without_models_the_shipped_ones_without_data_size_and_speed(monkeypatch, two, capsys):
    path = Embedder(two[0], "cpu").path
    for name in list(EMBEDDERS):
        monkeypatch.delitem(EMBEDDERS, name)
    monkeypatch.setitem(EMBEDDERS, "shipped", path)
    assert main(["bench", "models", "--rounds", "1"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert "mAP" not in header
    assert line.split()[0] == "own"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--data", "market1501"], 2, "NAME=FOLDER"),
        (["--data", "market=x"], 2, "data set 'market' is unknown"),
        (["--data", "market1501=nowhere"], 1, "nowhere"),
        (["--data", "market1501=a", "market1501=b"], 2, "named twice"),
        (["--rounds", "0"], 2, "--rounds 0: at least 1"),
        (["--threads", "-1"], 2, "--threads -1"),
        (["--device", "gpu"], 2, "device 'gpu' is unknown"),
        (["--part", "all"], 2, "--part"),
    ],
)
def test_mistakes_end_in_one_line(arguments, code, said, two, capsys):
    assert main(["bench", "models", two[0], *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.count("\n") == 0


def test_the_picture_needs_scores(tmp_path):
    with pytest.raises(ValueError, match="at least one model and one data set"):
        model_chart(tmp_path / "a.png", [ModelPoint("a", 1, 1, {})])
    with pytest.raises(ValueError, match="a: expected a time"):
        model_chart(tmp_path / "a.png", [ModelPoint("a", 0, 1, {"market1501": 0.5})])
    with pytest.raises(ValueError, match="a: expected a time"):
        model_chart(tmp_path / "a.png", [ModelPoint("a", 1, 1, {"market1501": 50})])


def test_the_picture_names_every_model_once_a_panel(tmp_path, monkeypatch):
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **how: (drawn.append(self), path.write_bytes(b""))[1])
    points = [ModelPoint(f"$m{i}$", 2.0 + i, 10**6 * (i + 1), {"one": i / 10, "two": 0.5}) for i in range(5)]
    assert model_chart(tmp_path / "a.png", points, ["$m1$"]) == tmp_path / "a.png"
    (figure,) = drawn
    for axes in figure.axes:
        labels = axes.findobj(Annotation)
        assert sorted(label.get_text() for label in labels) == [f"$m{i}$ ({i + 1} M)" for i in range(5)]
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["others", "ours"]
