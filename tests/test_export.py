"""``reidtrack export``: what is written, in which forms, and that nothing is written that did not pass."""

import copy
import errno
import hashlib
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import export.onnx
import export.source
from export.formats import export_tensorrt
from export.gate.batches import figure
from export.onnx import Form, export_onnx
from export.plain import plain_graph
from export.source import count_parameters, onnx_graph, open_source
from reid.embed import EMBEDDERS, Embedder
from reid.errors import BadInputError, ModelError
from reid.foreign import ForeignEmbedder, parse_declaration
from reid.images import read_image
from reid.model import EmbeddingModel, save_model
from reid.runtime import CPU
from tests.export.small import SIZE, small_network
from tests.helpers import market_folder, write_image
from tracker.cli import main

ONLY = [CPU]  # what other runtimes make of it is test_gate's matter


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(network, checkpoint, its graph)."""
    model = small_network()
    checkpoint = tmp_path_factory.mktemp("training") / "last.pt"
    save_model(model, checkpoint, epoch=1)
    return model, checkpoint, onnx_graph(model)


@pytest.fixture
def checkpoint(made, monkeypatch):
    """The checkpoint, whose graph is not made again."""
    monkeypatch.setattr(export.source, "onnx_graph", lambda model: copy.deepcopy(made[2]))
    return made[1]


def crops_of(count=5, size=SIZE):
    return [np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8) for i in range(count)]


def expected(model, crops):
    with torch.inference_mode():
        return model(torch.from_numpy(np.stack(crops))).numpy()


def test_the_file_is_an_embedder_that_says_what_it_is(made, checkpoint, tmp_path):
    lines = []
    out = tmp_path / "new" / "a.onnx"
    report = export_onnx(
        checkpoint, out, training_data="four colours", licence="free", runtimes=ONLY, report=lines.append
    )
    embedder = Embedder(out, "cpu")
    assert (embedder.dim, embedder.size) == (12, SIZE)
    card = embedder.card
    assert (card.backbone, card.training_data, card.licence) == ("small", "four colours", "free")
    assert (card.precision, card.colour, card.batch, card.scores, card.calibration) == ("fp32", "rgb", 0, {}, None)
    assert card.weights_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    metadata = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert metadata["reidtrack.model_id"] == f"small-{card.weights_sha256[:12]}"
    assert embedder(crops_of(), batch=2) == pytest.approx(expected(made[0], crops_of()), abs=1e-3)
    assert report.passed
    assert lines[-1].startswith(f"{out}: passed 14 checks, lowest cosine")


def test_its_input_and_output_are_described_in_the_graph(checkpoint, tmp_path):
    export_onnx(checkpoint, tmp_path / "a.onnx", Form(colour="bgr"), runtimes=ONLY)
    graph = onnx.load(tmp_path / "a.onnx").graph
    assert "32x16" in graph.input[0].doc_string
    assert "BGR" in graph.input[0].doc_string
    assert "unit norm" in graph.output[0].doc_string


def test_the_report_lies_beside_it_and_names_it_by_its_digest(checkpoint, tmp_path):
    out = tmp_path / "a.onnx"
    export_onnx(checkpoint, out, runtimes=ONLY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "a.onnx.report.json", "a.onnx.report.png"]
    record = json.loads((tmp_path / "a.onnx.report.json").read_text(encoding="utf-8"))
    assert record["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert record["passed"] is True
    assert record["file"] == "a.onnx"
    assert read_image(tmp_path / "a.onnx.report.png").shape[1] > 1500


def test_the_file_holds_nothing_of_the_machine_and_no_classifier(checkpoint, tmp_path):
    export_onnx(checkpoint, tmp_path / "a.onnx", runtimes=ONLY)
    content = (tmp_path / "a.onnx").read_bytes()
    for words in (b"stack_trace", b".py", b"classifier", str(tmp_path).encode()):
        assert words not in content


def test_the_parameters_are_those_of_the_exported_part(made):
    bare = EmbeddingModel("small", 12, size=SIZE)
    total = sum(one.numel() for one in bare.parameters())
    assert count_parameters(made[0]) == count_parameters(bare) == total
    assert count_parameters(EmbeddingModel("small", 12, size=SIZE, stripes=True)) == total
    assert sum(one.numel() for one in made[0].parameters()) == total + 5 * 12


@pytest.mark.parametrize(
    "form", [Form("fp16"), Form(colour="bgr"), Form(batch=4), Form(opset=20), Form("fp16", "bgr", 3)]
)
def test_every_form_gives_the_networks_vectors(made, checkpoint, tmp_path, form):
    out = tmp_path / "a.onnx"
    export_onnx(checkpoint, out, form, runtimes=ONLY)
    embedder = Embedder(out, "cpu")
    assert (embedder.card.precision, embedder.card.colour, embedder.card.batch) == (
        form.precision,
        form.colour,
        form.batch,
    )
    assert [one.version for one in onnx.load(out).opset_import if not one.domain] == [form.opset or 18]
    onnx.checker.check_model(onnx.load(out), full_check=True)
    vectors = embedder(crops_of())
    assert vectors == pytest.approx(expected(made[0], crops_of()), abs=5e-3 if form.precision == "fp16" else 1e-4)


def test_half_precision_computes_in_half_and_gives_float32(checkpoint, tmp_path):
    export_onnx(checkpoint, tmp_path / "a.onnx", Form("fp16"), runtimes=ONLY)
    graph = onnx.load(tmp_path / "a.onnx").graph
    kinds = {one.name: one.data_type for one in graph.initializer}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == 3
    assert {kinds[node.input[1]] for node in layers} == {onnx.TensorProto.FLOAT16}
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.parametrize("form", [Form(plain=True), Form(plain=True, colour="bgr"), Form("fp16", plain=True, batch=2)])
def test_the_plain_variant_takes_images_that_are_ready(made, checkpoint, tmp_path, form):
    """Its metadata say how, in words that ``ForeignEmbedder`` understands."""
    out = tmp_path / "a.onnx"
    export_onnx(checkpoint, out, form, runtimes=ONLY)
    graph = onnx.load(out)
    (taken,) = graph.graph.input
    assert taken.name == "images"
    assert not {"Resize", "Transpose"} & {node.op_type for node in graph.graph.node}
    said = {entry.key.removeprefix("reidtrack."): entry.value for entry in graph.metadata_props}
    assert said["variant"] == "plain"
    assert said["size"] == "32x16"
    path, preprocessing = parse_declaration(f"{out},colour={said['colour']},mean={said['mean']},std={said['std']}")
    vectors = ForeignEmbedder(path, preprocessing, "cpu")(crops_of())
    assert vectors == pytest.approx(expected(made[0], crops_of()), abs=5e-3 if form.precision == "fp16" else 1e-4)
    with pytest.raises(ModelError, match="no input crops"):
        Embedder(out, "cpu")


def test_a_normalisation_that_is_not_understood_is_refused(made):
    graph = copy.deepcopy(made[2])
    for node in graph.graph.node:
        if node.op_type == "Div" and node.input[1] == "std":
            node.op_type = "Pow"
    with pytest.raises(ModelError, match="export without --plain"):
        plain_graph(graph, open_source("edge").card)


def test_full_weights_are_stored_in_float32(monkeypatch, checkpoint, tmp_path):
    monkeypatch.setattr("export.precision.SMALL", 10)
    kinds = {}
    for full in (False, True):
        export_onnx(checkpoint, tmp_path / f"{full}.onnx", Form(full_weights=full), runtimes=ONLY)
        graph = onnx.load(tmp_path / f"{full}.onnx").graph
        kinds[full] = {one.data_type for one in graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds[False]
    assert onnx.TensorProto.FLOAT16 not in kinds[True]


def test_a_shipped_embedder_is_had_in_half_precision_by_its_name(tmp_path):
    out = tmp_path / "a.onnx"
    report = export_onnx("edge", out, Form("fp16"), runtimes=ONLY)
    assert 0.999 <= report.cosine < 1
    assert any("kept from the model that it was made of, not measured on this file" in note for note in report.notes)
    card, shipped = Embedder(out, "cpu").card, Embedder("edge", "cpu").card
    assert card.precision == "fp16"
    assert card.scores == {}  # they were measured on another file
    assert (card.calibration, card.training_data, card.weights_sha256) == (
        shipped.calibration,
        shipped.training_data,
        shipped.weights_sha256,
    )
    with pytest.raises(ModelError, match=r"is fp16, rgb, batch dynamic; other forms are made of an fp32, rgb, dynamic"):
        export_onnx(out, tmp_path / "b.onnx", Form(colour="bgr"), runtimes=ONLY)


def test_a_file_that_does_not_pass_leaves_what_was_there(checkpoint, monkeypatch, tmp_path):
    out = tmp_path / "a.onnx"
    out.write_bytes(b"the last good one")
    monkeypatch.setattr(export.onnx, "halved", lambda graph: swapped(graph))
    with pytest.raises(ModelError, match=r"a.onnx: check 'batch of 1' failed .* differs is preprocessing"):
        export_onnx(checkpoint, out, runtimes=ONLY)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert out.read_bytes() == b"the last good one"


def swapped(graph):
    from export.forms import swap_colours

    return swap_colours(graph, axis=3)


def test_a_checkpoint_that_changes_while_it_is_exported_is_caught(made, checkpoint, tmp_path):
    growing = shutil.copy(checkpoint, tmp_path / "last.pt")
    source = open_source(growing)
    save_model(small_network(seed=1), tmp_path / "last.pt", epoch=2)
    with pytest.raises(ModelError, match=r"last.pt changed while it was exported; export it again"):
        export_onnx(source, tmp_path / "a.onnx", runtimes=ONLY)
    assert not (tmp_path / "a.onnx").exists()


def test_what_cannot_be_exported(checkpoint, tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        export_onnx(tmp_path / "absent.pt", tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="no such embedder"):
        export_onnx(tmp_path / "absent.onnx", tmp_path / "a.onnx")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(ModelError, match="not a reidtrack checkpoint"):
        export_onnx(tmp_path / "text.pt", tmp_path / "a.onnx")
    with pytest.raises(BadInputError, match="is a folder"):
        export_onnx(checkpoint, tmp_path)
    with pytest.raises(BadInputError, match="cannot be written"):
        export_onnx(checkpoint, tmp_path / "text.pt" / "a.onnx")
    with pytest.raises(BadInputError, match=r"--opset 13: does not work for this network; choose from 1\d to 2\d"):
        export_onnx(checkpoint, tmp_path / "a.onnx", Form(opset=13))
    with pytest.raises(BadInputError, match="--precision int8: needs crops"):
        export_onnx(checkpoint, tmp_path / "a.onnx", Form("int8"))
    assert [path.name for path in tmp_path.iterdir()] == ["text.pt"]


def test_nothing_is_left_where_its_report_cannot_be_written(checkpoint, tmp_path, monkeypatch):
    """As on a disk that becomes full."""

    def full(path, _result):
        path.write_bytes(b"half of a picture")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export.onnx, "gate_picture", full)
    with pytest.raises(BadInputError, match=r"a.onnx: cannot be written \(No space left on device\)"):
        export_onnx(checkpoint, tmp_path / "a.onnx", runtimes=ONLY)
    assert list(tmp_path.iterdir()) == []


def test_int8_is_calibrated_on_the_crops_of_a_folder(made, checkpoint, tmp_path, capsys):
    for number in range(40):
        write_image(tmp_path / "people" / f"{number}.png", np.random.default_rng(number).integers(0, 256, 3), SIZE)
    out = tmp_path / "a.onnx"
    options = ["--precision", "int8", "--calibrate-on", str(tmp_path / "people"), "--runtimes", *ONLY]
    assert main(["export", str(checkpoint), "--out", str(out), *options]) == 0
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert Embedder(out, "cpu").card.precision == "int8"
    assert [one.version for one in onnx.load(out).opset_import if not one.domain] == [19]
    assert capsys.readouterr().out == f"{out}\n"


def test_in_8_bits_the_plain_variant_and_what_tensorrt_takes_are_had_too(made, checkpoint, tmp_path):
    """With nothing of the preprocessing left, and as near to the network as any int8 file has to be."""
    crops = [figure(np.random.default_rng(number), SIZE) for number in range(40)]
    export_onnx(checkpoint, tmp_path / "a.onnx", Form("int8", plain=True), crops=crops, runtimes=ONLY)
    source = open_source(checkpoint)
    export_tensorrt(source, tmp_path / "a.engine", Form("int8"), crops=crops, runtimes=ONLY)
    names = {path.name for path in tmp_path.iterdir()}
    assert "a.engine" not in names  # no GPU in a test
    assert "a.engine.calibration.npz" in names
    for path in (tmp_path / "a.onnx", tmp_path / "a.engine.onnx"):
        graph = onnx.load(path)
        said = {entry.key.removeprefix("reidtrack."): entry.value for entry in graph.metadata_props}
        assert (said["precision"], said["variant"], graph.graph.input[0].name) == ("int8", "plain", "images")
        makers = {name: node for node in graph.graph.node for name in node.output}
        first = next(node for node in graph.graph.node if node.op_type == "Conv")
        dequantised = makers[first.input[0]]
        assert [dequantised.op_type, makers[dequantised.input[0]].op_type] == ["DequantizeLinear", "QuantizeLinear"]
        assert makers[dequantised.input[0]].input[0] == "images"
        declared = parse_declaration(f"{path},colour={said['colour']},mean={said['mean']},std={said['std']}")
        vectors = ForeignEmbedder(*declared, "cpu")(crops)
        assert (vectors * expected(made[0], crops)).sum(1).min() >= 0.99


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="the optional openvino is not installed")
def test_an_openvino_ir_passes_the_gate_too(checkpoint, tmp_path, capsys):
    out = tmp_path / "a.xml"
    assert main(["export", str(checkpoint), "--out", str(out), "--format", "openvino", "--precision", "fp16"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.bin",
        "a.xml",
        "a.xml.report.json",
        "a.xml.report.png",
    ]
    record = json.loads((tmp_path / "a.xml.report.json").read_text(encoding="utf-8"))
    assert {check["provider"] for check in record["checks"]} == {"OpenVINO"}
    assert record["precision"] == "fp16"
    assert capsys.readouterr().out == f"{out}\n"
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "a.onnx"), "--format", "openvino"]) == 2
    assert "a.onnx: what is written here ends in .xml; give a name such as a.xml" in capsys.readouterr().err


def test_without_tensorrt_what_builds_an_engine_is_written(checkpoint, tmp_path, monkeypatch, capsys):
    """And what is there is what is named: the graph and the script, no engine."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    out = tmp_path / "a.engine"
    options = ["--format", "tensorrt", "--precision", "fp16", "--runtimes", *ONLY]
    assert main(["export", str(checkpoint), "--out", str(out), *options]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {"a.engine.onnx", "a.engine.trtexec.sh", "a.engine.report.json"} <= names
    assert "a.engine" not in names
    assert onnx.load(tmp_path / "a.engine.onnx").graph.input[0].name == "images"
    record = json.loads((tmp_path / "a.engine.report.json").read_text(encoding="utf-8"))
    graph = (tmp_path / "a.engine.onnx").read_bytes()
    assert (record["file"], record["sha256"]) == ("a.engine.onnx", hashlib.sha256(graph).hexdigest())
    said = capsys.readouterr()
    assert said.out == f"{out}.onnx\n{out}.trtexec.sh\n"
    assert "no engine was built here: copy both to where it is to run" in said.err


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


def test_the_command_measures_the_file_that_it_writes(checkpoint, site, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("reid.calibrate.embed_images", colours)
    monkeypatch.setattr("reid.evaluation.images.embed_set", lambda items, embed, *rest: colours(items, embed))
    out = tmp_path / "b.onnx"
    other = shutil.copytree(site, tmp_path / "other")
    options = ["--calibrate", f"market1501={site}", f"market1501={other}", "--score", f"market1501={site}"]
    options += ["--licence", "ours", "--runtimes", *ONLY]
    assert main(["export", str(checkpoint), "--out", str(out), *options]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert "market1501 on CPUExecutionProvider: mAP 100.00%, R1 100.00%; its reference 100.00%, 100.00%" in told.err
    assert f"calibration: {tmp_path / 'b.calibration.png'}" in told.err
    card = Embedder(out, "cpu").card
    assert (card.licence, card.scores) == ("ours", {"market1501": (1.0, 1.0)})
    assert set(card.calibration.tracklets.error_by_site) == {"market1501", f"market1501 {other}"}
    assert card.calibration.tracklets.identities == 16
    assert read_image(tmp_path / "b.calibration.png").shape[1] > 1500
    record = json.loads((tmp_path / "b.onnx.report.json").read_text(encoding="utf-8"))
    assert record["scores"] == {CPU: {"market1501": [1.0, 1.0]}}
    assert {check["name"] for check in record["checks"]} >= {"market1501 mAP", "market1501 R1"}


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
        (["--false-match", "0.5"], 2, "--false-match 0.5: choose from 0.1, 0.01, 0.001, 0.0001"),
        (["--batch", "0"], 2, "--batch 0: write dynamic, or how many"),
        (["--batch", "few"], 2, "--batch few: write dynamic, or how many"),
        (["--batch", "9999"], 2, "--batch 9999: write dynamic, or how many crops at a time, 1 to 256"),
        (["--hold-out", "-1"], 2, "Invalid value for '--hold-out'"),
        (["--size", "320"], 2, "--size: is a detector's; it goes with --detector"),
        (["--precision", "int8"], 2, "--precision int8: name a run or a folder of people's pictures"),
        (["--precision", "int8", "--calibrate-on", "{absent}"], 2, "absent: no such folder"),
        (["--calibrate-on", "{site}"], 2, "--calibrate-on: fp32 needs no crops"),
        (["--detector", "yolov8n"], 2, "name a model to export, or a detector"),
    ],
)
def test_bad_options_are_told_before_the_work(made, site, tmp_path, monkeypatch, capsys, options, code, message):
    def never(*args):
        raise AssertionError("the work had begun")

    monkeypatch.setattr(export.source, "load_model", never)
    four = market_folder(tmp_path / "four")
    options = [option.format(site=site, four=four, absent=tmp_path / "absent") for option in options]
    assert main(["export", str(made[1]), "--out", str(tmp_path / "c.onnx"), *options]) == code
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert told.count("\n") == 1


def test_a_runtime_that_does_not_work_here_is_told_in_one_line(checkpoint, tmp_path, capsys):
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "a.onnx"), "--runtimes", "Abacus"]) == 2
    assert "runtime 'Abacus' does not work here; choose from CPUExecutionProvider" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{own} --out {own}", "own.onnx: is what it would be made of, and would be lost; give another path"),
        ("{own} --out {folder}/other", "other: what is written here ends in .onnx; give a name such as other.onnx"),
        ("{own} --out {folder}", "is a folder"),
        ("--detector yolov8n --precision int8 --out {folder}/a.onnx", "--precision: is for embedders"),
    ],
)
def test_what_would_be_lost_or_is_not_what_was_asked_for_is_refused(tmp_path, capsys, words, message):
    own = Path(shutil.copy(EMBEDDERS["edge"], tmp_path / "own.onnx"))
    before = own.read_bytes()
    assert main(["export", *words.format(own=own, folder=tmp_path).split()]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["own.onnx"]
    assert own.read_bytes() == before
