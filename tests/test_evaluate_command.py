"""``reidtrack evaluate`` on miniatures of every data set."""

import json

import pytest

from reid.datasets import DATASETS
from reid.objective import parse_losses
from reid.recipe import Recipe
from reid.train import train
from tests.datasets.miniatures import MINIATURES
from tests.helpers import colour_embedder, market_folder
from tests.test_foreign import mean_model
from tracker.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return colour_embedder(tmp_path_factory.mktemp("model") / "colour.onnx")


def run(*arguments):
    return main(["evaluate", *map(str, arguments)])


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_scored_by_its_protocol(name, model, tmp_path, capsys):
    folder = MINIATURES[name](tmp_path / "set")
    out = tmp_path / "scores"
    extra = ["--detector", "none"]
    if name == "cuhk_sysu":
        from reid.datasets import load_dataset

        extra += ["--gallery-size", min(load_dataset(name, folder).search.galleries)]
    assert run(name, "--data", folder, "--model", model, "--out", out, *extra) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    scores = json.loads((out / "scores.json").read_text())
    assert scores["protocol"] == DATASETS[name].protocol
    for variant, figures in scores["scores"].items():
        assert variant in said
        assert figures["about"] in said
        assert all(0 <= figure <= 1 for key, figure in figures.items() if key != "about")
    expected = {"scores.json"} if name == "cuhk_sysu" else {"scores.json", "cmc.png", "ranked.png"}
    assert expected <= {path.name for path in out.iterdir()}


def test_variants_stand_side_by_side(model, tmp_path, capsys):
    folder = market_folder(tmp_path)
    options = ["--rerank", "k_reciprocal,k1=3,k2=2", "query_expansion", "--memory", "64MB", "--json"]
    assert run("market1501", "--data", folder, "--model", model, *options) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert list(scores) == ["single query", "single query, k_reciprocal,k1=3,k2=2", "single query, query_expansion"]
    assert scores["single query"]["mAP"] == scores["single query"]["R1"] == 1  # a colour each


def test_a_checkpoint_is_scored_and_its_stripes_are_used(tmp_path, capsys):
    folder = market_folder(tmp_path)
    from reid.datasets import load_dataset

    losses = parse_losses("cls:1,trihard:1,aligned:1")
    recipe = Recipe(backbone="osnet_x0_25", dim=8, schedule=(((32, 16), 1),), losses=losses, p=2, k=2, workers=0)
    checkpoint = train(recipe, load_dataset("market1501", folder).train, tmp_path / "out", lambda line: None)
    assert run("market1501", "--data", folder, "--model", checkpoint, "--aligned", 3, "--json") == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert len(scores) == 2
    assert any("local" in variant for variant in scores)


def test_somebody_elses_file_is_scored_with_its_preprocessing(tmp_path, capsys):
    folder, other = market_folder(tmp_path), mean_model(tmp_path / "mean.onnx")
    assert run("market1501", "--data", folder, "--model", f"{other},like=openvino", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["model"].startswith("mean-")
    assert scores["scores"]["single query"]["R1"] == 1
    (tmp_path / "lr=0.1,p=2").mkdir()
    own = colour_embedder(tmp_path / "lr=0.1,p=2/colour.onnx")  # a comma and an equals sign declare nothing
    assert run("market1501", "--data", folder, "--model", own) == 0
    assert run("market1501", "--data", folder, "--model", f"{other},like=it") == 2
    assert "like=it is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rerank", "sorted"], "choose from k_reciprocal"),
        (["--rerank", "k_reciprocal,k9=1"], "no option 'k9'; it has k1"),
        (["--rerank", "k_reciprocal,k1=wide"], "finite number"),
        (["--rerank", "k_reciprocal", "--memory", "1KB"], "memory"),
        (["--memory", "plenty", "--rerank", "k_reciprocal"], "512MB or 4GB"),
        (["--aligned", "3"], "exported files have no stripes"),
        (["--multi-query"], "gt_bbox"),
        (["--model", "absent.onnx"], "absent.onnx"),
        (["--model", "absent.pt"], "absent.pt"),
    ],
)
def test_mistakes_end_in_one_line(model, tmp_path, capsys, arguments, said):
    folder = market_folder(tmp_path)
    assert run("market1501", "--data", folder, "--model", model, *arguments) in (1, 2)
    *_, error = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("error: ")
    assert said in error


def test_an_unknown_data_set_lists_the_known(model, tmp_path, capsys):
    assert run("imagenet", "--data", tmp_path, "--model", model) == 2
    assert "choose one of market1501" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mars", "viper"])
def test_reranking_is_for_sets_scored_like_market(name, model, tmp_path, capsys):
    folder = MINIATURES[name](tmp_path)
    assert run(name, "--data", folder, "--model", model, "--rerank", "k_reciprocal") == 2
    assert "own protocol" in capsys.readouterr().err
