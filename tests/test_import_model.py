"""Somebody else's ONNX file made an embedder: equal to the original, or refused with the reason and the remedy."""

import hashlib
import re
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import export.foreign
from export.foreign import import_model
from export.foreign_graph import OPSET, check_scaling, own_scaling, read_network, wrap
from reid.bench.models import open_models
from reid.embed import Embedder
from reid.errors import BadInputError, ModelError
from reid.foreign import PRESETS, ForeignEmbedder, Preprocessing
from reid.runtime import CPU, open_session
from tests.helpers import colour_embedder, write_image
from tracker.cli import main

RAW = Preprocessing("rgb", (0, 0, 0), (1, 1, 1))
PEER = Path(__file__).parents[2] / "shared" / "peers" / "osnet_x0_25_msmt17.onnx"
ODD = Preprocessing("bgr", (10, 20, 30), (2, 4, 8))
SMALL = Preprocessing("rgb", PRESETS["torchreid"].mean, PRESETS["torchreid"].std, (32, 16))
SIZE = (8, 4)


def crops(count, seed=0, largest=40):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*rng.integers(3, largest, 2), 3), dtype=np.uint8) for _ in range(count)]


def save(path, nodes, constants=(), shape=("n", 3, *SIZE), gives=None, opset=18, names=("images", "output")):
    """A graph whose nodes go from ``x`` to ``y``, its constants called c0, c1, ..."""
    taken, given = names
    graph = helper.make_graph(
        [node("Identity", taken, "x"), *nodes, node("Identity", "y", given)],
        "net",
        [helper.make_tensor_value_info(taken, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, gives)],
        [numpy_helper.from_array(np.asarray(one), f"c{number}") for number, one in enumerate(constants)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def node(kind, *names, **attributes):
    """``node("Add", "x", "c0", "y")``: inputs, then the output."""
    return helper.make_node(kind, names[:-1], names[-1:], **attributes)


MEAN = [node("ReduceMean", "x", "c0", "mean", keepdims=0), node("Add", "mean", "c1", "y")]
ONE = np.ones(1, np.float32)
SPACE, WEIGHT = np.array([2, 3]), np.array([1, 2, 3], np.float32)


def mean_model(path, **options):
    """Channels' means plus (1, 2, 3)."""
    return save(path, MEAN, (SPACE, WEIGHT), **options)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small convolutional network, exported as anybody would."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3, 2)]
    model = torch.nn.Sequential(
        *layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 6)
    ).eval()
    model[1].running_mean.normal_(0, 0.2)
    model[1].running_var.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("plain") / "small net.onnx"
    names = {"input_names": ["images"], "output_names": ["output"]}
    with warnings.catch_warnings():  # what this exporter is called deprecated for is that files from elsewhere are its
        warnings.simplefilter("ignore")
        images = torch.zeros(2, 3, 32, 16)
        torch.onnx.export(model, (images,), path, dynamo=False, dynamic_axes={"images": {0: "n"}}, **names)
    return path


@pytest.fixture(scope="module")
def imported(network):
    """(original, what was made of it, the gate's report, lines reported)."""
    lines = []
    out = network.parent / "new" / "mine.onnx"
    found = import_model(network, SMALL, out, "two streets", "free", report=lines.append)
    return network, out, found, lines


def test_it_is_the_original_on_crops_of_any_size(imported):
    original, out, found, _ = imported
    images = crops(9, largest=90)
    expected = ForeignEmbedder(original, SMALL, "cpu")(images)
    assert Embedder(out, "cpu")(images) == pytest.approx(expected, abs=1e-5)
    assert found.passed
    assert found.cosine > 0.99999
    assert found.name == str(out)


def test_it_says_what_it_is_and_what_it_came_from(imported):
    original, out, _, _ = imported
    card = Embedder(out, "cpu").card
    assert (card.backbone, card.size, card.batch) == ("small_net", (32, 16), 0)
    assert (card.training_data, card.licence) == ("two streets", "free")
    assert card.weights_sha256 == hashlib.sha256(original.read_bytes()).hexdigest()
    assert card.parameters == ForeignEmbedder(original, SMALL, "cpu").parameters
    assert card.calibration is None
    props = {one.key: one.value for one in onnx.load(out).metadata_props}
    assert props["reidtrack.imported_from"] == f"small net.onnx,{SMALL}"
    assert str(original.parent).encode() not in out.read_bytes()
    assert {path.name for path in out.parent.iterdir()} == {
        f"mine.onnx{end}" for end in ("", ".report.json", ".report.png")
    }


def test_the_commands_take_it_as_any_embedder(imported, capsys):
    _, out, _, _ = imported
    assert main(["models", str(out), "--no-speed"]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["trained on two streets", "licence: free"]
    assert open_models([str(out)])["mine"].own


def run(model, batch):
    return open_session(model.SerializeToString(), "cpu").run(["vectors"], {"crops": batch})[0]


@pytest.mark.parametrize("how", [RAW, ODD])
@pytest.mark.parametrize("names", [("images", "output"), ("crops", "vectors"), ("pixels", "norm")])
def test_preprocessing_is_inside_whatever_the_originals_names_are(tmp_path, how, names):
    batch = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)
    made = wrap(read_network(mean_model(tmp_path / "net.onnx", names=names)), how, SIZE, 3)
    assert {one.name for one in made.graph.initializer} <= {name for one in made.graph.node for name in one.input}
    vectors = run(made, batch)
    for crop, vector in zip(batch, vectors, strict=True):
        order = (0, 1, 2) if how.colour == "rgb" else (2, 1, 0)
        row = [(crop[..., c].mean() - how.mean[i]) / how.std[i] + i + 1 for i, c in enumerate(order)]
        assert vector == pytest.approx(np.array(row) / np.linalg.norm(row), abs=1e-5)


def test_crops_of_another_size_are_stretched_bilinearly(tmp_path):
    path = save(tmp_path / "net.onnx", [node("ReduceMean", "x", "c0", "y", keepdims=0)], [np.array([1, 2])])
    crop = np.array([[[0] * 3, [200] * 3]] * 2, np.uint8)
    vectors = run(wrap(read_network(path), RAW, SIZE, 4), crop[None])
    assert vectors[0] == pytest.approx(np.array([0, 50, 150, 200]) / np.linalg.norm([0, 50, 150, 200]), abs=1e-6)


def test_an_older_opset_is_converted(tmp_path):
    old = [node("ReduceMean", "x", "mean", axes=[2, 3], keepdims=0), node("Add", "mean", "c0", "y")]
    path = save(tmp_path / "net.onnx", old, [WEIGHT], opset=11)
    batch = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)
    made = wrap(read_network(path), ODD, SIZE, 3)
    assert made.opset_import[0].version == OPSET
    assert run(made, batch) == pytest.approx(ForeignEmbedder(path, ODD, "cpu")(list(batch)), abs=1e-5)


def test_weights_that_an_old_file_lists_as_inputs_are_no_inputs(tmp_path):
    old = [node("ReduceMean", "x", "mean", axes=[2, 3], keepdims=0), node("Add", "mean", "c0", "y")]
    path = save(tmp_path / "net.onnx", old, [WEIGHT], opset=11)
    model = onnx.load(path)
    model.graph.input.insert(0, helper.make_tensor_value_info("c0", TensorProto.FLOAT, [3]))
    model.ir_version = 3
    onnx.save(model, path)
    batch = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), np.uint8)
    vectors = run(wrap(read_network(path), ODD, SIZE, 3), batch)
    assert vectors == pytest.approx(ForeignEmbedder(path, ODD, "cpu")(list(batch)), abs=1e-5)


@pytest.mark.parametrize("shape", [[1, -1], [1, 3]])
def test_a_batch_of_one_that_reshapes_say_is_made_free(tmp_path, shape):
    pooled = [
        node("GlobalAveragePool", "x", "pooled"),
        node("Reshape", "pooled", "c0", "z"),
        node("Mul", "z", "c1", "y"),
    ]
    path = save(tmp_path / "net.onnx", pooled, [np.array(shape), ONE], (1, 3, *SIZE), [1, 3])
    out = tmp_path / "a.onnx"
    import_model(path, ODD, out, runtimes=[CPU])
    embedder = Embedder(out, "cpu")
    assert embedder.card.batch == 0
    images = crops(5)
    assert embedder(images) == pytest.approx(ForeignEmbedder(path, ODD, "cpu")(images), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_that_cannot_be_made_free_stays_fixed_and_takes_any_number_of_crops(tmp_path, batch):
    nodes = [*MEAN[:1], node("Expand", "c1", "c2", "wide"), node("Concat", "mean", "wide", "y", axis=1)]
    constants = (SPACE, np.ones((1, 1), np.float32), np.array([batch, 1]))
    path = save(tmp_path / "net.onnx", nodes, constants, (batch, 3, *SIZE), [batch, 4])
    out = tmp_path / "a.onnx"
    import_model(path, RAW, out, runtimes=[CPU])
    embedder = Embedder(out, "cpu")
    assert embedder.card.batch == batch
    images = crops(5)
    assert embedder(images) == pytest.approx(ForeignEmbedder(path, RAW, "cpu")(images), abs=1e-5)


@pytest.mark.parametrize("batch", ["n", 4])
def test_vectors_that_depend_on_the_batch_are_refused(tmp_path, batch):
    """As of batch normalisation in training mode."""
    nodes = [
        MEAN[0], node("ReduceMean", "mean", "c1", "level", keepdims=1), node("Sub", "mean", "level", "moved"),
        node("Add", "moved", "c2", "y"),
    ]  # fmt: skip
    path = save(tmp_path / "net.onnx", nodes, (SPACE, np.array([0]), WEIGHT), (batch, 3, *SIZE))
    with pytest.raises(ModelError, match=r"another vector when others are in the batch.*training mode.*model.eval\(\)"):
        import_model(path, RAW, tmp_path / "a.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["net.onnx"]


def test_weights_in_another_file_are_taken_in(network, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(onnx.load(network), path, save_as_external_data=True, location="net.data", size_threshold=1000)
    expected = ForeignEmbedder(path, SMALL, "cpu")(crops(3))
    import_model(path, SMALL, tmp_path / "a.onnx", runtimes=[CPU])
    (tmp_path / "net.data").unlink()
    assert Embedder(tmp_path / "a.onnx", "cpu")(crops(3)) == pytest.approx(expected, abs=1e-5)


IMAGENET = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
OF_255 = [node("Sub", "x", "c2", "moved"), node("Div", "moved", "c3", "scaled")]
OF_1 = [node("Div", "x", "c4", "small"), node("Sub", "small", "c2", "moved"), node("Div", "moved", "c3", "scaled")]
TORCHREID = Preprocessing("rgb", PRESETS["torchreid"].mean, PRESETS["torchreid"].std)


def scaling_model(path, scaling, mean, std):
    nodes = [*scaling, node("ReduceMean", "scaled", "c0", "mean", keepdims=0), MEAN[1]]
    constants = (SPACE, WEIGHT, mean.reshape(1, 3, 1, 1), std.reshape(3, 1, 1), np.float32(255))
    return save(path, nodes, constants)


@pytest.mark.parametrize(
    ("scaling", "unit", "declared", "remedy"),
    [
        (OF_255, 255, TORCHREID, r"as -2\.15 to -1\.76; declare mean=0 and std=1$"),
        (OF_255, 1, TORCHREID, r"as -11\.\d to \S+; declare mean=0 and std=255$"),
        (OF_255, 1, RAW, r"declare mean=0 and std=255$"),
        (OF_1, 1, TORCHREID, r"declare mean=0 and std=1$"),
        (OF_1, 1, Preprocessing("rgb", (0,) * 3, (255,) * 3), r"declare mean=0 and std=1$"),
    ],
)
def test_a_file_that_normalises_its_images_itself_is_not_normalised_again(tmp_path, scaling, unit, declared, remedy):
    path = tmp_path / "net.onnx"
    network = onnx.load(scaling_model(path, scaling, *(one * unit for one in IMAGENET)))
    with pytest.raises(BadInputError, match=remedy) as caught:
        check_scaling(path, network, declared)
    right = int(re.search(r"std=(\d+)$", str(caught.value))[1])
    check_scaling(path, network, Preprocessing("rgb", (0,) * 3, (right,) * 3))
    with pytest.raises(BadInputError, match=remedy):
        import_model(path, declared, tmp_path / "a.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["net.onnx"]


def test_a_networks_own_scaling_is_read_off_its_first_nodes(tmp_path):
    mean, std = IMAGENET
    factor, shift = own_scaling(onnx.load(scaling_model(tmp_path / "a.onnx", OF_1, mean, std)))
    assert factor == pytest.approx(1 / 255 / std)
    assert shift == pytest.approx(-mean / std)
    assert own_scaling(onnx.load(mean_model(tmp_path / "b.onnx"))) is None
    weighted = [node("Mul", "c2", "x", "wide"), node("ReduceMean", "wide", "c0", "mean", keepdims=0), MEAN[1]]
    path = save(tmp_path / "c.onnx", weighted, (SPACE, WEIGHT, np.ones((1, 3, *SIZE), np.float32)))
    assert own_scaling(onnx.load(path)) is None


@pytest.mark.parametrize("fault", ["colour", "mean", "size"])
def test_the_gate_stops_a_file_that_is_not_the_original(tmp_path, monkeypatch, fault):
    wrap = export.foreign.wrap
    wrongs = {"colour": Preprocessing("rgb", ODD.mean, ODD.std), "mean": Preprocessing("bgr", (30, 20, 10), ODD.std)}

    def wrong(network, how, size, *rest):
        made = wrap(network, wrongs.get(fault, how), size, *rest)
        if fault == "size":
            (resize,) = (one for one in made.graph.node if one.op_type == "Resize")
            resize.attribute[0].s = b"nearest"
        return made

    monkeypatch.setattr(export.foreign, "wrap", wrong)
    flat = [node("Flatten", "x", "flat"), node("Mul", "flat", "c0", "y")]
    path, out = save(tmp_path / "net.onnx", flat, [ONE]), tmp_path / "a.onnx"
    out.write_bytes(b"the last good one")
    with pytest.raises(ModelError, match=r"check '.*' failed"):
        import_model(path, ODD, out)
    assert out.read_bytes() == b"the last good one"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.onnx", "net.onnx"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.onnx", "no such model"),
        ("net.xml", "an OpenVINO IR cannot be turned into ONNX; import the ONNX file that it was made from, or"),
        ("last.pth", r"no file of weights that PyTorch can read.*; it may be broken: get it again, or export it where"),
        ("net.engine", "expected an .onnx file, TorchScript or timm:NAME; export it where its network is defined"),
        ("text.onnx", "not an ONNX model"),
        ("ours.onnx", "is an embedder of reidtrack already; use it as it is, with --embedder"),
        ("grey.onnx", r"takes \(n, 1, 8, 4\); expected images \(n, 3, height, width\)"),
        ("free.onnx", "takes images of any size; say which"),
    ],
)
def test_files_of_another_kind_are_refused_in_one_line(tmp_path, capsys, name, message):
    for empty in ("net.xml", "last.pth", "net.engine", "text.onnx"):
        (tmp_path / empty).write_text("nothing")
    colour_embedder(tmp_path / "ours.onnx")
    mean_model(tmp_path / "grey.onnx", shape=("n", 1, *SIZE))
    mean_model(tmp_path / "free.onnx", shape=("n", 3, "h", "w"))
    options = ["--out", str(tmp_path / "a.onnx"), "--like", "openvino"]
    assert main(["import-model", str(tmp_path / name), *options]) in (1, 2)
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert told.count("\n") == 1
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [("net.onnx", "is what it would be made of, and would be lost"), ("a.pt", "what is written here ends in .onnx")],
)
def test_the_original_is_not_overwritten_and_the_ending_is_an_embedders(tmp_path, capsys, out, message):
    path = mean_model(tmp_path / "net.onnx")
    before = path.read_bytes()
    assert main(["import-model", str(path), "--out", str(tmp_path / out), "--like", "openvino"]) == 2
    assert message in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["net.onnx"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say how it wants its crops: --like torchreid, or --colour, --mean and --std"),
        (["--like", "fastreid"], "like=fastreid is unknown; choose from torchreid, openvino"),
        (["--colour", "rgb"], "say mean, std too"),
        (["--like", "torchreid", "--mean", "1,2,3"], r"--mean 1,2,3; join by colons, such as 123\.675:116\.28:103\.53"),
        (["--like", "torchreid", "--std", "0.229"], "std 0.229 is for pixels of 0..1"),
        (["--like", "torchreid", "--size", "16x8"], r"takes images of \(8, 4\), not \(16, 8\)"),
        (["--like", "openvino", "--calibrate", "nowhere=x"], "data set 'nowhere' is unknown"),
        (["--like", "openvino", "--score", "market1501"], "NAME=FOLDER"),
    ],
)
def test_mistakes_in_options_are_told_in_one_line(tmp_path, capsys, options, message):
    path = mean_model(tmp_path / "net.onnx")
    assert main(["import-model", str(path), "--out", str(tmp_path / "a.onnx"), *options]) == 2
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert told.count("\n") == 1


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


def test_the_command_calibrates_and_scores_what_it_writes(tmp_path, site, capsys):
    """Mean colours around grey tell the eight people apart."""
    means = [node("ReduceMean", "x", "c0", "mean", keepdims=0), node("Mul", "mean", "c1", "y")]
    path = save(tmp_path / "net.onnx", means, (SPACE, ONE))
    out = tmp_path / "mine.onnx"
    how = ["--colour", "rgb", "--mean", "127", "--std", "1", "--trained-on", "nothing", "--licence", "free"]
    measured = ["--calibrate", f"market1501={site}", "--score", f"market1501={site}"]
    assert main(["import-model", str(path), "--out", str(out), *how, *measured]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert f"calibration: {tmp_path / 'mine.calibration.png'}" in told.err
    assert "not calibrated" not in told.err
    card = Embedder(out, "cpu").card
    assert (card.training_data, card.licence, card.scores) == ("nothing", "free", {"market1501": (1.0, 1.0)})
    assert card.calibration.tracklets.identities == 8


def test_what_was_not_calibrated_is_said_to_be_of_no_use_to_a_run(tmp_path, capsys):
    path, out = mean_model(tmp_path / "net.onnx"), tmp_path / "mine.onnx"
    assert main(["import-model", str(path), "--out", str(out), "--like", "openvino", "--runtimes", CPU]) == 0
    assert "not calibrated, so `run` will not take it: import it with --calibrate" in capsys.readouterr().err
    write_image(tmp_path / "photos" / "a.png", (200, 40, 40), (480, 640))
    assert (
        main(["run", "--images", str(tmp_path / "photos"), "--embedder", str(out), "--out", str(tmp_path / "run")]) == 1
    )
    told = capsys.readouterr().err
    assert re.search(r"mine\.onnx: carries no calibration, .*import-model", told)


def test_the_peer_that_trackers_use_is_imported_as_it_is():
    if not PEER.is_file():
        pytest.skip("the shared OSNet x0.25 of torchreid is not on this machine")
    network = read_network(PEER)
    made = wrap(network, PRESETS["torchreid"], (256, 128), 512)
    batch = np.random.default_rng(0).integers(0, 256, (2, 256, 128, 3), np.uint8)
    expected = ForeignEmbedder(PEER, PRESETS["torchreid"], "cpu")(list(batch))
    assert run(made, batch) == pytest.approx(expected, abs=1e-5)
