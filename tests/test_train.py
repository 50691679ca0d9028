import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision

from reid.augment import augment
from reid.datasets import load_dataset
from reid.errors import BadInputError, DataError, ModelError
from reid.model import EmbeddingModel, load_checkpoint, load_model, start_from
from reid.train import LossTerm, Recipe, parse_losses, train
from tests.helpers import market_folder

RECIPE = Recipe(
    backbone="osnet_x0_25",
    dim=16,
    schedule=(((32, 16), 1), ((48, 24), 1)),
    p=2,
    k=2,
    warmup=1,
    workers=0,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return load_dataset("market1501", market_folder(tmp_path_factory.mktemp("market"))).train


class StopError(Exception):
    """What stands for a killed process."""


def stop_after(epoch):
    def report(line):
        if line.startswith(f"epoch {epoch}  "):
            raise StopError

    return report


def test_resuming_equals_never_having_stopped(images, tmp_path):
    whole = train(RECIPE, images, tmp_path / "whole", lambda line: None)
    lines = []
    with pytest.raises(StopError):
        train(RECIPE, images, tmp_path / "halves", stop_after(1))
    torch.manual_seed(123)  # another process has another random state
    halves = train(RECIPE, images, tmp_path / "halves", lines.append)
    assert "after epoch 1 of 2" in lines[0]

    one, two = load_checkpoint(whole), load_checkpoint(halves)
    assert one["epoch"] == two["epoch"] == 2
    assert one["state"].keys() == two["state"].keys()
    assert all(torch.equal(one["state"][name], two["state"][name]) for name in one["state"])
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "halves")]
    for first, second in zip(*logs, strict=True):
        first, second = json.loads(first), json.loads(second)
        assert {first["size"][0], second["size"][0]} in ({32}, {48})
        assert (first["cls"], first["trihard"], first["lr"]) == (second["cls"], second["trihard"], second["lr"])


def test_a_finished_training_can_be_used_and_is_not_repeated(images, tmp_path):
    recipe = replace(RECIPE, schedule=(((32, 16), 1),))
    last = train(recipe, images, tmp_path, lambda line: None)
    before = last.read_bytes()
    assert train(recipe, images, tmp_path, lambda line: None) == last
    assert last.read_bytes() == before
    model = load_model(last)
    assert model.size == (32, 16)
    assert model(torch.zeros(1, 40, 20, 3, dtype=torch.uint8)).shape == (1, 16)
    with pytest.raises(BadInputError, match="choose another --out"):
        train(replace(recipe, dim=8), images, tmp_path, lambda line: None)


def test_it_learns_four_colours(images, tmp_path):
    # No jitter of colour or erasing can hide these; two epochs of 4 batches hardly start, eight must reach something.
    recipe = replace(RECIPE, schedule=(((32, 16), 8),), p=4, k=4, lr=5e-3, erase=0.0)
    train(recipe, images, tmp_path, lambda line: None)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["cls"] < log[0]["cls"]
    assert [line["epoch"] for line in log] == list(range(1, 9))


def test_a_broken_image_names_itself(images, tmp_path):
    broken = tmp_path / "0001_c1s1_000000_00.jpg"
    broken.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"0001_c1s1_000000_00.jpg: not an image"):
        train(RECIPE, replace(images, paths=(broken,) * len(images)), tmp_path / "out", lambda line: None)


def test_learning_rate_warms_up_and_decays():
    recipe = replace(RECIPE, schedule=(((32, 16), 10),), warmup=2, lr=1.0)
    rates = [recipe.lr_at(epoch) for epoch in np.linspace(0, 10, 41)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(recipe.lr_at(2)) == pytest.approx(1)
    assert rates[8:] == sorted(rates[8:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_sizes_by_schedule():
    recipe = replace(RECIPE, schedule=(((32, 16), 2), ((48, 24), 1)))
    assert recipe.epochs == 3
    assert [recipe.size_at(epoch) for epoch in range(4)] == [(32, 16), (32, 16), (48, 24), (48, 24)]


def test_parse_losses():
    assert parse_losses("cls") == (LossTerm("cls"),)
    assert parse_losses(" cls:1, trihard:0.5 ,margin=0.2") == (
        LossTerm("cls", 1.0),
        LossTerm("trihard", 0.5, {"margin": 0.2}),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("softmax", "'softmax' is unknown; choose from cls"),
        ("cls:one", "'cls:one' has no number"),
        ("cls,smoothing=x", "'smoothing=x' has no number"),
        ("margin=0.3", "'margin=0.3'"),
    ],
)
def test_losses_that_cannot_be_parsed(text, message):
    with pytest.raises(BadInputError, match=message):
        parse_losses(text)


def test_augmentation_is_decided_by_its_generator():
    image = np.random.default_rng(0).integers(0, 256, (50, 20, 3), dtype=np.uint8)
    for seed in range(20):
        once, again = (augment(image, (32, 16), np.random.default_rng(seed)) for _ in range(2))
        assert once.shape == (32, 16, 3)
        assert once.dtype == np.uint8
        assert np.array_equal(once, again)


def test_a_backbone_starts_from_weights_by_name_or_by_order(tmp_path):
    given = torchvision.models.mobilenet_v2(weights=None).state_dict()
    renamed = {f"{number}_{name.rpartition('.')[2]}": value for number, (name, value) in enumerate(given.items())}
    for weights in (given, renamed):
        torch.save(weights, tmp_path / "weights.pt")
        model = EmbeddingModel("mobilenet_v2", 8)
        start_from(model, tmp_path / "weights.pt")
        assert torch.equal(model.backbone.state_dict()["features.17.conv.2.weight"], given["features.17.conv.2.weight"])


@pytest.mark.parametrize("content", ["absent", "text", "misfit"])
def test_weights_that_do_not_fit_are_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    if content == "text":
        path.write_text("hello")
    elif content == "misfit":
        torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match=r"weights\.pt"):
        start_from(EmbeddingModel("osnet_x0_25", 8), path)
