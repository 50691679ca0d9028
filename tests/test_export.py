import copy
import hashlib
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import export.onnx
from export.onnx import count_parameters, export_onnx
from export.parity import check_parity
from reid.embed import Embedder
from reid.errors import BadInputError, ModelError
from reid.images import read_image
from reid.model import EmbeddingModel, save_model
from tests.helpers import CALIBRATION, market_folder, write_image
from tracker.cli import main

# One worker: the export takes seconds and several tests look at its result.
SCORES = {"market1501": (0.5, 0.75)}


def shaken(model, seed=1):
    """Move the norms' statistics and scales from their initial values: folding them must show if it is wrong."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(network, checkpoint, exported file, lines reported)."""
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    model = shaken(EmbeddingModel("osnet_ibn_x0_25", 32, identities=5, size=(64, 32)))
    save_model(model, folder / "last.pt", epoch=1)
    lines = []

    def measured(embedder):
        lines.append(f"measuring {embedder.dim}")
        return replace(embedder.card, scores=SCORES, calibration=CALIBRATION)

    out = export_onnx(folder / "last.pt", folder / "new" / "a.onnx", "four colours", "free", measured, lines.append)
    return model, folder / "last.pt", out, lines


def test_the_file_is_an_embedder(made):
    _, checkpoint, out, lines = made
    embedder = Embedder(out, "cpu")
    assert (embedder.dim, embedder.size) == (32, (64, 32))
    assert embedder.card.backbone == "osnet_ibn_x0_25"
    assert (embedder.card.training_data, embedder.card.licence) == ("four colours", "free")
    assert embedder.card.scores == SCORES
    assert embedder.card.weights_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert embedder.calibration == CALIBRATION
    assert lines[1] == "measuring 32"
    assert "lowest cosine" in lines[-1]


def test_the_parameters_are_those_of_the_exported_part(made):
    model, _, out, _ = made
    bare = EmbeddingModel("osnet_ibn_x0_25", 32, size=(64, 32))
    expected = sum(one.numel() for one in bare.parameters())
    assert Embedder(out, "cpu").card.parameters == count_parameters(model) == count_parameters(bare) == expected
    assert count_parameters(EmbeddingModel("osnet_ibn_x0_25", 32, size=(64, 32), stripes=True)) == expected
    assert sum(one.numel() for one in model.parameters()) == expected + 5 * 32


def test_the_file_holds_nothing_of_the_machine_and_no_classifier(made):
    content = made[2].read_bytes()
    assert b"stack_trace" not in content
    assert b".py" not in content
    assert b"classifier" not in content
    assert [path.name for path in made[2].parent.iterdir()] == ["a.onnx"]


def test_vectors_equal_the_network(made):
    model, _, out, _ = made
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (64, 32, 3), dtype=np.uint8) for _ in range(5)]
    with torch.inference_mode():
        expected = model(torch.from_numpy(np.stack(crops))).numpy()
    assert Embedder(out, "cpu")(crops, batch=2) == pytest.approx(expected, abs=1e-3)


def test_parity_passes_the_network_it_came_from(made):
    report = check_parity(made[0], made[2])
    assert report.cosine > 0.99999
    assert report.difference < 1e-3
    names = [check.name for check in report.checks]
    assert {"batch of 1", "batch of 2", "batch of 7", "batch of 32", "noise 1x1", "ramp 301x149", "black"} <= set(names)


def test_parity_fails_another_network(made):
    model = copy.deepcopy(made[0])
    model.linear.bias.data += 0.5
    with pytest.raises(ModelError, match=r"a.onnx: parity check 'batch of 1' failed, cosine"):
        check_parity(model, made[2])


def test_parity_fails_on_nan(made):
    model = copy.deepcopy(made[0])
    model.linear.bias.data[0] = torch.nan
    with pytest.raises(ModelError, match="cosine nan"):
        check_parity(model, made[2])


def test_parity_fails_another_length(made):
    with pytest.raises(ModelError, match=r"vectors \(1, 32\) where \(1, 16\)"):
        check_parity(EmbeddingModel("osnet_ibn_x0_25", 16, size=(64, 32)).eval(), made[2])


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_parity_fails_vectors_off_unit_norm(made, scale):
    class Scaled(torch.nn.Module):
        size = made[0].size

        def forward(self, crops):
            return made[0](crops) * scale

    with pytest.raises(ModelError, match="parity check"):
        check_parity(Scaled(), made[2])


def test_a_failed_check_leaves_what_was_there(made, monkeypatch, tmp_path):
    _, checkpoint, good, _ = made
    out = tmp_path / "a.onnx"
    out.write_bytes(b"the last good one")
    monkeypatch.setattr(export.onnx, "onnx_graph", lambda model: export.onnx.onnx.load(good))

    def failing(model, path):
        raise ModelError("parity check 'black' failed")

    monkeypatch.setattr(export.onnx, "check_parity", failing)
    with pytest.raises(ModelError, match="'black' failed"):
        export_onnx(checkpoint, out, "colours")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert out.read_bytes() == b"the last good one"


def test_without_calibration_the_file_has_none(made, monkeypatch, tmp_path):
    _, checkpoint, good, _ = made

    def bare(model):
        graph = export.onnx.onnx.load(good)
        del graph.metadata_props[:]
        return graph

    monkeypatch.setattr(export.onnx, "onnx_graph", bare)
    out = export_onnx(checkpoint, tmp_path / "a.onnx", "colours")
    card = Embedder(out, "cpu").card
    assert (card.calibration, card.scores, card.licence) == (None, {}, "not stated")


def test_what_cannot_be_exported(made, tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        export_onnx(tmp_path / "absent.pt", tmp_path / "a.onnx", "colours")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(ModelError, match="not a reidtrack checkpoint"):
        export_onnx(tmp_path / "text.pt", tmp_path / "a.onnx", "colours")
    with pytest.raises(BadInputError, match="is a folder"):
        export_onnx(made[1], tmp_path, "colours")
    with pytest.raises(BadInputError, match="cannot be written"):
        export_onnx(made[1], tmp_path / "text.pt" / "a.onnx", "colours")
    assert [path.name for path in tmp_path.iterdir()] == ["text.pt"]


@pytest.fixture
def site(tmp_path):
    """Market-1501's layout with 8 people, each a colour, in 2 cameras of the gallery."""
    folder = tmp_path / "site"
    for person, rgb in enumerate(np.random.default_rng(3).integers(0, 256, (8, 3)), 1):
        for number in range(4):
            name = f"{person:04}_c{number % 2 + 1}s1_{number:06}_00.png"
            write_image(folder / "bounding_box_test" / name, rgb, seed=number)
        write_image(folder / "query" / f"{person:04}_c3s1_000009_00.png", rgb, seed=9)
    write_image(folder / "bounding_box_train" / "0009_c1s1_000000_00.png", (1, 2, 3))
    return folder


def test_the_command_measures_the_file_that_it_writes(made, site, monkeypatch, tmp_path, capsys):
    """The graph is not made again; what is measured on it is."""
    monkeypatch.setattr(export.onnx, "onnx_graph", lambda model: export.onnx.onnx.load(made[2]))
    monkeypatch.setattr("reid.calibrate.embed_images", colours)
    monkeypatch.setattr("reid.evaluation.images.embed_set", lambda items, embed, *rest: colours(items, embed))
    out = tmp_path / "b.onnx"
    other = shutil.copytree(site, tmp_path / "other")
    options = ["--calibrate", f"market1501={site}", f"market1501={other}", "--score", f"market1501={site}"]
    assert main(["export", str(made[1]), "--out", str(out), *options, "--licence", "ours"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert "market1501: mAP 100.00%, R1 100.00%" in told.err
    assert f"calibration: {tmp_path / 'b.calibration.png'}" in told.err
    card = Embedder(out, "cpu").card
    assert (card.licence, card.scores) == ("ours", {"market1501": (1.0, 1.0)})
    assert set(card.calibration.tracklets.error_by_site) == {"market1501", f"market1501 {other}"}
    assert card.calibration.tracklets.identities == 16
    assert read_image(tmp_path / "b.calibration.png").shape[1] > 1500


def colours(items, embed, *rest):
    """In place of the untrained network's vectors."""
    means = np.stack([items.read(i).mean((0, 1)) for i in range(len(items))]) - 128
    return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--calibrate", "market1501={site}", "nowhere=x"], 2, "data set 'nowhere' is unknown"),
        (["--calibrate", "{site}"], 2, "NAME=FOLDER"),
        (["--calibrate", "market1501={four}"], 1, "market1501: calibration needs at least 4 identities"),
        (["--calibrate", "folder={site}/bounding_box_train"], 1, "folder: has no test part"),
        (["--score", "folder={site}/bounding_box_train"], 1, "folder: has no test part"),
        (["--score", "market1501={absent}"], 1, "absent"),
    ],
)
def test_bad_data_are_told_before_the_work(made, site, tmp_path, monkeypatch, capsys, options, code, message):
    def never(*args):
        raise AssertionError("the work had begun")

    monkeypatch.setattr(export.onnx, "load_model", never)
    four = market_folder(tmp_path / "four")
    options = [option.format(site=site, four=four, absent=tmp_path / "absent") for option in options]
    assert main(["export", str(made[1]), "--out", str(tmp_path / "c.onnx"), *options]) == code
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert told.count("\n") == 1
