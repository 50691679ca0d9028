import json

import pytest

from reid.bench.losses import ENTRIES, bench_losses
from reid.bench.training import bare_loop, bench_training
from reid.datasets import load_dataset
from reid.errors import BadInputError
from reid.objective import parse_losses
from reid.recipe import Recipe
from tests.helpers import market_folder
from tracker.cli import main

RECIPE = Recipe(backbone="osnet_x0_25", dim=16, schedule=(((32, 16), 1),), p=2, k=2, workers=0)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    return market_folder(tmp_path_factory.mktemp("market"))


def test_every_entry_is_an_objective_with_cls():
    for name, entry in ENTRIES.items():
        terms = parse_losses(entry.objective)
        assert terms[0].name == "cls"
        assert (len(terms) == 1) == (name == "cls")


def test_the_table_resumes(market, tmp_path):
    split, lines = load_dataset("market1501", market), []
    first = bench_losses(RECIPE, split, tmp_path, ["cls"], [0], lines.append)
    assert [(row.name, len(row.mean_ap)) for row in first] == [("cls", 1)]
    trained = (tmp_path / "cls-0" / "last.pt").stat().st_mtime_ns

    rows = bench_losses(RECIPE, split, tmp_path, ["cls", "MSML"], [0, 1], lines.append)
    assert [(row.name, len(row.mean_ap), len(row.rank1)) for row in rows] == [("cls", 2, 2), ("MSML", 2, 2)]
    assert (tmp_path / "cls-0" / "last.pt").stat().st_mtime_ns == trained
    assert rows[0].mean_ap[0] == first[0].mean_ap[0]
    assert all(0 <= score <= 1 for row in rows for score in (*row.mean_ap, *row.rank1))
    assert [line for line in lines if line.startswith("MSML, seed 1:")]


def test_rows_of_two_recipes_do_not_mix(market, tmp_path):
    split = load_dataset("market1501", market)
    bench_losses(RECIPE, split, tmp_path, ["cls"], [0], lambda line: None)
    other = Recipe(backbone="osnet_x0_25", dim=8, schedule=(((32, 16), 1),), p=2, k=2, workers=0)
    with pytest.raises(BadInputError, match="another recipe"):
        bench_losses(other, split, tmp_path, ["cls"], [0], lambda line: None)


def test_an_unknown_row_is_named(market, tmp_path):
    with pytest.raises(BadInputError, match="'focal' is not in the loss table; choose from cls"):
        bench_losses(RECIPE, load_dataset("market1501", market), tmp_path, ["focal"], [0], lambda line: None)


def test_training_speed_is_measured_in_turn(market):
    images = load_dataset("market1501", market).train
    speed = bench_training(RECIPE, images, 2, lambda line: None)
    assert len(speed.ours) == len(speed.bare) == 2
    assert speed.ratio > 0
    assert bare_loop(RECIPE, 4, 2) > 0


def test_losses_on_the_command_line(market, tmp_path, capsys):
    out = tmp_path / "table"
    arguments = ["--data", f"market1501={market}", "--out", str(out), "--seeds", "1", "--losses", "cls", "contrastive"]
    arguments += ["--backbone", "osnet_x0_25", "--schedule", "32x16:1", "--workers", "0", "--p", "2", "--k", "2"]
    assert main(["bench", "losses", *arguments]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split() == ["loss", "mAP", "R1", "seeds", "published", "mAP", "/", "R1", "by"]
    assert [line.split()[0] for line in said.out.splitlines()[1:3]] == ["cls", "contrastive"]
    assert (out / "loss-table.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "cls-0" / "result.json").read_text())["seed"] == 0
    assert main(["bench", "losses", *arguments]) == 0  # nothing is trained again
    assert "epoch" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["losses", "--data", "market1501"], "NAME=FOLDER"),
        (["losses", "--data", "market1501=nowhere"], "nowhere"),
        (["losses", "--data", "market1501=nowhere", "--seeds", "0"], "--seeds 0"),
        (["training", "--data", "market1501=nowhere", "--size", "big"], "big"),
    ],
)
def test_mistakes_end_in_one_line(arguments, said, capsys):
    assert main(["bench", *arguments]) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.count("\n") == 0
