import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from reid.datasets import load_dataset
from reid.errors import BadInputError, DataError, ModelError
from reid.model import EmbeddingModel, load_checkpoint, load_model
from reid.network import Network
from reid.objective import parse_losses
from reid.recipe import Recipe
from reid.train import read_log, running_average, train
from tests.helpers import market_folder
from tests.test_foreign import mean_model

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


def losses(text):
    return replace(RECIPE, schedule=(((32, 16), 2),), losses=parse_losses(text))


def test_networks_that_teach_each_other(images, tmp_path):
    recipe = replace(losses("cls:1,trihard:1,mutual_kl:1,mutual_metric:0.1"), networks=2)
    whole = train(recipe, images, tmp_path / "whole", lambda line: None)
    with pytest.raises(StopError):
        train(recipe, images, tmp_path / "halves", stop_after(1))
    halves = train(recipe, images, tmp_path / "halves", lambda line: None)
    one, two = load_checkpoint(whole), load_checkpoint(halves)
    assert len(one["networks"]) == 2
    assert all(torch.equal(one["state"][name], two["state"][name]) for name in one["state"])
    (_, peer), (_, again) = one["networks"], two["networks"]
    assert all(torch.equal(peer[name], again[name]) for name in peer)
    assert not torch.equal(one["state"]["linear.weight"], peer["linear.weight"])  # they began apart
    assert load_model(whole).dim == 16


def test_the_running_average_is_the_result_and_survives_an_interruption(images, tmp_path):
    recipe = replace(losses("cls:1"), average=0.9)
    whole = load_checkpoint(train(recipe, images, tmp_path / "whole", lambda line: None))
    with pytest.raises(StopError):
        train(recipe, images, tmp_path / "halves", stop_after(1))
    halves = load_checkpoint(train(recipe, images, tmp_path / "halves", lambda line: None))
    assert all(torch.equal(whole["state"][name], halves["state"][name]) for name in whole["state"])
    (last,) = whole["networks"]
    assert whole["averages"] == halves["averages"] > 2  # steps
    assert not torch.equal(whole["state"]["linear.weight"], last["linear.weight"])
    with pytest.raises(BadInputError, match="other options"):
        train(losses("cls:1"), images, tmp_path / "halves", lambda line: None)


def test_the_running_average_is_of_weights_and_statistics_and_forgets_the_past():
    network = EmbeddingModel("osnet_x0_25", 4, 2, (32, 16))
    averaged, oracle = running_average(network, 0.5), None
    for step in range(6):
        with torch.no_grad():
            for value in network.state_dict().values():
                value.copy_(torch.full_like(value, step * 7) if value.is_floating_point() else value + 1)
        averaged.update_parameters(network)
        # the first is taken whole; 1 / 10 of the second's memory is kept, 2 / 11 of the third's, ... at most one half
        keep = min(0.5, (1 + step) / (10 + step))
        oracle = step * 7 if step == 0 else keep * oracle + (1 - keep) * step * 7
    for name, value in averaged.module.state_dict().items():
        expected = 6 if name.endswith("num_batches_tracked") else oracle
        assert value.double().mean().item() == pytest.approx(expected, rel=1e-5), name


def test_another_size_begins_another_average(images, tmp_path):
    slow = train(replace(RECIPE, average=0.999), images, tmp_path / "slow", lambda line: None)
    none = train(RECIPE, images, tmp_path / "none", lambda line: None)
    late = replace(RECIPE, schedule=(((48, 24), 2),), average=0.999)
    assert (
        load_checkpoint(slow)["averages"] < load_checkpoint(train(late, images, tmp_path / "late", print))["averages"]
    )
    last = load_checkpoint(none)["state"]
    for name, value in load_checkpoint(slow)["networks"][0].items():
        assert torch.equal(value, last[name])  # averaging does not change what is trained


def test_a_student_learns_its_teachers_ranking(images, tmp_path):
    teacher = train(losses("cls:1"), images, tmp_path / "teacher", lambda line: None)
    recipe = replace(losses("cls:1,darkrank:1"), teacher=teacher)
    train(recipe, images, tmp_path / "student", lambda line: None)
    assert read_log(tmp_path / "student")[-1]["darkrank"] > 0


def test_a_student_may_learn_from_somebody_elses_file(images, tmp_path):
    teacher = f"{mean_model(tmp_path / 'mean.onnx')},like=openvino"
    taught = replace(losses("cls:1,absolute_teacher:1"), dim=3, teacher=teacher)
    train(taught, images, tmp_path / "student", lambda line: None)
    (kept,) = (tmp_path / "student").glob("teacher-*.npy")
    vectors = np.load(kept)
    assert vectors.shape == (len(images), 3)
    expected = images.read(1).reshape(-1, 3).mean(0)[::-1] + np.array([1, 2, 3])  # what mean_model gives
    assert vectors[1] == pytest.approx(expected / np.linalg.norm(expected), abs=0.01)


def test_what_the_teacher_said_is_kept_for_a_resumption(images, tmp_path):
    teacher = train(losses("cls:1"), images, tmp_path / "teacher", lambda line: None)
    taught = replace(losses("cls:1,darkrank:1"), teacher=teacher)
    with pytest.raises(StopError):
        train(taught, images, tmp_path / "student", stop_after(1))
    lines = []
    train(taught, images, tmp_path / "student", lines.append)
    assert not [line for line in lines if line.startswith("teacher")]


def test_a_loss_on_stripes_builds_the_local_branch(images, tmp_path):
    checkpoint = train(losses("cls:1,trihard:1,aligned:1"), images, tmp_path, lambda line: None)
    crops = [np.zeros((40, 20, 3), np.uint8)] * 3
    network = Network(checkpoint)
    assert network(crops).shape == (3, 16)
    assert np.allclose(np.linalg.norm(network(crops), axis=1), 1, atol=1e-5)
    assert network.local(crops).shape == (3, 2, 128)  # 32 rows of pixels, a sixteenth of them in the map


def test_a_model_without_stripes_says_so(images, tmp_path):
    checkpoint = train(losses("cls:1"), images, tmp_path, lambda line: None)
    with pytest.raises(ModelError, match="no local branch"):
        Network(checkpoint).local([np.zeros((40, 20, 3), np.uint8)])


def test_centres_are_learned_and_kept(images, tmp_path):
    last = train(losses("cls:1,center:0.0005"), images, tmp_path, lambda line: None)
    (centres,) = (value for name, value in load_checkpoint(last)["objectives"][0].items() if value.ndim == 2)
    assert centres.shape == (4, 16)


@pytest.mark.parametrize(("pool", "head", "dim"), [("gem", "bnneck", 16), ("average", "fc", 16), ("gem", "fc", 0)])
def test_pools_and_heads(images, tmp_path, pool, head, dim):
    recipe = replace(losses("cls:1,msml:1"), pool=pool, head=head, dim=dim)
    model = load_model(train(recipe, images, tmp_path, lambda line: None))
    assert model(torch.zeros(1, 40, 20, 3, dtype=torch.uint8)).shape == (1, model.dim)
    assert model.dim == (dim or model.backbone.out_channels)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (losses("cls:1,mutual_kl:1"), "needs --networks 2"),
        (replace(losses("cls:1"), networks=2), "needs a mutual loss"),
        (losses("cls:1,darkrank:1"), "needs a trained --teacher"),
        (replace(losses("cls:1"), teacher="somewhere.pt"), "needs a distillation loss"),
        (replace(losses("cls:1"), backbone="resnet"), "choose one of osnet"),
        (replace(losses("cls:1"), pool="max"), "choose one of average, gem"),
    ],
)
def test_options_that_do_not_go_together(images, tmp_path, recipe, said):
    with pytest.raises(BadInputError, match=said):
        train(recipe, images, tmp_path, lambda line: None)


def test_an_unknown_augmentation_is_named():
    with pytest.raises(BadInputError, match="choose one of"):
        replace(RECIPE, augmentation="mirror")
