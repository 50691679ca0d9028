"""Embedders that somebody else made, by ONNX files and OpenVINO IRs of one averaging node."""

import importlib.util
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from reid.errors import BadInputError, ModelError
from reid.foreign import PRESETS, ForeignEmbedder, Preprocessing, parse_declaration
from reid.graphs import import_openvino
from reid.images import resize_crop

RAW = Preprocessing("rgb", (0, 0, 0), (1, 1, 1))
ODD = Preprocessing("bgr", (10, 20, 30), (2, 4, 8))


def mean_model(path, shape=("n", 3, 8, 4), kind=TensorProto.FLOAT, dims=None, gives=1, axes=(2, 3)):
    """Images to their channels' means plus a weight of (1, 2, 3), which are 3 parameters."""
    nodes = [
        helper.make_node("ReduceMean", ["images", "space"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "weight"], ["vectors"]),
        *(helper.make_node("Identity", ["vectors"], [f"more{i}"]) for i in range(1, gives)),
    ]
    outputs = [helper.make_tensor_value_info(name, kind, dims) for name in ["vectors", "more1"][:gives]]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("images", kind, shape)],
        outputs,
        [
            helper.make_tensor("space", TensorProto.INT64, [len(axes)], axes),
            helper.make_tensor("weight", kind, [3], [1.0, 2.0, 3.0]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def crops(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*rng.integers(3, 20, 2), 3), dtype=np.uint8) for _ in range(count)]


def expected(images, how, size=(8, 4)):
    """The same by hand: one crop at a time, one channel at a time."""
    rows = []
    for image in images:
        pixels = resize_crop(image, size).astype(float)
        order = (0, 1, 2) if how.colour == "rgb" else (2, 1, 0)
        row = [((pixels[:, :, c] - how.mean[i]) / how.std[i]).mean() + i + 1 for i, c in enumerate(order)]
        rows.append(np.array(row) / np.linalg.norm(row))
    return np.array(rows).reshape(-1, 3)


@pytest.mark.parametrize("how", [RAW, ODD, PRESETS["torchreid"], PRESETS["openvino"]])
def test_colours_are_ordered_shifted_and_scaled_as_declared(tmp_path, how):
    path = mean_model(tmp_path / "a.onnx", ("n", 3, "h", "w"))
    size = how.size or (8, 4)
    embedder = ForeignEmbedder(path, Preprocessing(how.colour, how.mean, how.std, size), "cpu")
    images = crops(5)
    vectors = embedder(images)
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(expected(images, how, size), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 3, "n"])
@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_a_file_of_any_batch_takes_any_number(tmp_path, batch, count):
    embedder = ForeignEmbedder(mean_model(tmp_path / "a.onnx", (batch, 3, 8, 4)), ODD, "cpu")
    images = crops(count)
    for together in (1, 2, 32):
        assert embedder(images, together) == pytest.approx(expected(images, ODD), abs=1e-5)
    assert embedder(images).shape == (count, 3)


def test_what_it_says_of_itself(tmp_path):
    path = mean_model(tmp_path / "mean.onnx")
    embedder = ForeignEmbedder(path, RAW, "cpu", threads=1)
    assert (embedder.dim, embedder.size, embedder.parameters) == (3, (8, 4), 3)
    assert (embedder.path, embedder.files) == (path, (path,))
    assert embedder.preprocessing.size == (8, 4)
    stem, _, digits = embedder.model_id.partition("-")
    assert stem == "mean"
    assert len(digits) == 12
    assert embedder.model_id == ForeignEmbedder(path, RAW, "cpu").model_id


def test_other_preprocessing_is_another_model(tmp_path):
    path = mean_model(tmp_path / "a.onnx")
    ids = {ForeignEmbedder(path, how, "cpu").model_id for how in (RAW, ODD, PRESETS["openvino"])}
    assert len(ids) == 3


def test_a_map_of_one_pixel_is_a_vector(tmp_path):
    path = mean_model(tmp_path / "a.onnx")
    model = onnx.load(path)
    model.graph.node[1].output[0] = "flat"
    model.graph.initializer.append(helper.make_tensor("last", TensorProto.INT64, [2], [2, 3]))
    model.graph.node.append(helper.make_node("Unsqueeze", ["flat", "last"], ["vectors"]))
    onnx.save(model, path)
    images = crops(2)
    assert ForeignEmbedder(path, RAW, "cpu")(images) == pytest.approx(expected(images, RAW), abs=1e-5)


def test_weights_in_constant_nodes_and_other_files_count(tmp_path):
    path = mean_model(tmp_path / "a.onnx")
    model = onnx.load(path)
    weight = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["weight"], value=weight))
    onnx.save(model, path)
    assert ForeignEmbedder(path, RAW, "cpu").parameters == 3

    big = np.ones(3, np.float32)
    model.graph.node.pop(0)
    model.graph.initializer.append(onnx.numpy_helper.from_array(big, "weight"))
    onnx.save(model, path, save_as_external_data=True, location="a.data", size_threshold=0)
    embedder = ForeignEmbedder(path, RAW, "cpu")
    assert embedder.parameters == 3
    assert embedder.files == (path, tmp_path / "a.data")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"shape": ("n", 1, 8, 4)}, r"takes \(n, 1, 8, 4\); expected images \(n, 3, height, width\)"),
        ({"shape": ("n", 8, 4, 3), "axes": (1, 2)}, r"takes \(n, 8, 4, 3\); expected images"),
        ({"shape": ("n", 3, 8), "axes": (2,)}, r"takes \(n, 3, 8\); expected images"),
        ({"kind": TensorProto.DOUBLE}, r"takes tensor\(double\); expected tensor\(float\)"),
        ({"gives": 2}, "1 inputs and 2 outputs; expected images in and vectors out"),
        ({"axes": (0, 2, 3)}, r"gives \(3,\) for 1 crops; expected a vector for each"),
        ({"axes": (3,), "shape": ("n", 3, 3, 4)}, r"gives \(1, 3, 3\) for 1 crops; expected a vector for each"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, model, message):
    path = mean_model(tmp_path / "a.onnx", **model)
    with pytest.raises(ModelError, match=message) as caught:
        ForeignEmbedder(path, RAW, "cpu")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_absent_or_no_models(tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        ForeignEmbedder(tmp_path / "a.onnx", RAW, "cpu")
    (tmp_path / "b.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        ForeignEmbedder(tmp_path / "b.onnx", RAW, "cpu")
    with pytest.raises(ModelError, match=r"ends in .onnx or .xml"):
        ForeignEmbedder(tmp_path / "a.pth", RAW, "cpu")


def test_the_size_is_the_files_unless_that_is_free(tmp_path):
    fixed = mean_model(tmp_path / "fixed.onnx")
    free = mean_model(tmp_path / "free.onnx", ("n", 3, "h", "w"))
    sized = Preprocessing("rgb", (0, 0, 0), (1, 1, 1), (16, 8))
    assert ForeignEmbedder(free, sized, "cpu").size == (16, 8)
    with pytest.raises(BadInputError, match=r"takes images of \(8, 4\), not \(16, 8\); leave size out"):
        ForeignEmbedder(fixed, sized, "cpu")
    with pytest.raises(BadInputError, match="takes images of any size; say which, such as size=256x128"):
        ForeignEmbedder(free, RAW, "cpu")


def test_a_vector_without_direction_is_refused(tmp_path):
    path = mean_model(tmp_path / "a.onnx")
    embedder = ForeignEmbedder(path, Preprocessing("rgb", (1, 2, 3), (1, 1, 1)), "cpu")
    with pytest.raises(ModelError, match="zero or not finite; check mean and std"):
        embedder([np.zeros((8, 4, 3), np.uint8)])


@pytest.mark.parametrize("crop", [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))])
def test_a_crop_of_another_kind_is_named(tmp_path, crop):
    embedder = ForeignEmbedder(mean_model(tmp_path / "a.onnx"), RAW, "cpu")
    with pytest.raises(ValueError, match=r"crop 1: expected \(h, w, 3\) uint8, got"):
        embedder([*crops(1), crop])
    with pytest.raises(ValueError, match="batch"):
        embedder([], 0)


@pytest.mark.parametrize(
    ("text", "file", "how"),
    [
        ("a/b.onnx,like=torchreid", "a/b.onnx", PRESETS["torchreid"]),
        ("m.xml,like=openvino", "m.xml", PRESETS["openvino"]),
        ("m.xml,size=256x128,colour=bgr,mean=0,std=1", "m.xml", Preprocessing("bgr", (0,) * 3, (1,) * 3, (256, 128))),
        ("a, b.onnx,colour=rgb,mean=1:2:3,std=4:5:6.5", "a, b.onnx", Preprocessing("rgb", (1, 2, 3), (4, 5, 6.5))),
        ("a.onnx,like=openvino,colour=rgb", "a.onnx", RAW),
        ("a.onnx,size=8x4,like=openvino", "a.onnx", Preprocessing("bgr", (0,) * 3, (1,) * 3, (8, 4))),
    ],
)
def test_declarations(text, file, how):
    path, found = parse_declaration(text)
    assert (str(path), found) == (file, how)


@pytest.mark.parametrize("text", ["mobilenet_v2", "first.onnx", "a/last.pt", "a,b.onnx", "a=b.onnx"])
def test_what_declares_nothing(text):
    assert parse_declaration(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.onnx,colour=rgb", "say mean, std too, or like=torchreid or like=openvino"),
        ("a.onnx,size=8x4", "say colour, mean, std too"),
        ("a.onnx,like=fastreid", "like=fastreid is unknown; choose from torchreid, openvino"),
        ("a.onnx,like=openvino,color=rgb", "option 'color' is unknown; choose from like, size, colour, mean, std"),
        ("a.onnx,like=openvino,size=256", "size=256; write HEIGHTxWIDTH"),
        ("a.onnx,like=openvino,size=0x128", "size=0x128; write HEIGHTxWIDTH"),
        ("a.onnx,like=openvino,colour=grey", "colour=grey; write rgb or bgr"),
        ("a.onnx,like=openvino,mean=1:2", "mean=1:2; write one number, or three joined by colons"),
        ("a.onnx,like=openvino,mean=", "mean is ''; write a finite number"),
        ("a.onnx,like=openvino,std=nan", "std is 'nan'; write a finite number"),
        ("a.onnx,like=openvino,std=0", "std 0 is for pixels of 0..1; write mean and std for 0..255"),
        ("a.onnx,like=openvino,std=0.229:0.224:0.225", "std 0.224 is for pixels of 0..1"),
        ("a.pth,like=openvino", "write FILE.onnx or FILE.xml and options"),
    ],
)
def test_mistakes_in_declarations(text, message):
    with pytest.raises(BadInputError, match=message) as caught:
        parse_declaration(text)
    assert "\n" not in str(caught.value)


channels = st.tuples(*[st.integers(1, 2550).map(lambda tenths: tenths / 10)] * 3)
scales = st.tuples(*[st.integers(10, 2550).map(lambda tenths: tenths / 10)] * 3)
sizes = st.none() | st.tuples(st.integers(1, 999), st.integers(1, 999))


@given(st.builds(Preprocessing, st.sampled_from(["rgb", "bgr"]), channels, scales, sizes))
def test_text_and_back(how):
    assert parse_declaration(f"a.onnx,{how}")[1] == how


def test_a_foreign_embedder_does_without_torch():
    code = "import sys, reid.foreign; sys.exit('torch' in sys.modules or 'openvino' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_openvino_is_named_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"needs OpenVINO; pip install 'reidtrack\[openvino\]'"):
        ForeignEmbedder(tmp_path / "a.xml", RAW, "cpu")


@pytest.fixture
def openvino(tmp_path):
    """The package as the library imports it: without its telemetry."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("the optional openvino is not installed")
    return import_openvino(tmp_path)


def test_openvino_does_not_call_home(openvino):
    code = (
        "import sys, pathlib, reid.graphs\n"
        "reid.graphs.import_openvino(pathlib.Path('a.xml'))\n"
        "assert 'openvino' in sys.modules\n"
        "sys.exit(any(name.startswith('openvino_telemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def mean_ir(openvino, path, shape=(1, 3, 8, 4), frozen=False):
    """The same model as an OpenVINO IR; ``frozen`` writes the batch into the graph, so that it cannot be reshaped."""
    from openvino import opset13 as op

    images = op.parameter(shape, np.float32, name="images")
    mean = op.reduce_mean(images, np.array([2, 3]), keep_dims=False)
    vectors = op.add(mean, np.array([1, 2, 3], np.float32))
    if frozen:
        vectors = op.reshape(vectors, np.array([shape[0], 3]), special_zero=False)
    openvino.save_model(openvino.Model([vectors], [images], "mean"), path, compress_to_fp16=False)
    return path


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("batch", [1, 2, -1])
def test_openvino_of_any_batch(openvino, tmp_path, batch, frozen):
    path = mean_ir(openvino, tmp_path / "a.xml", (batch, 3, 8, 4), frozen)
    embedder = ForeignEmbedder(path, ODD, "cpu", threads=1)
    images = crops(7)
    assert embedder(images) == pytest.approx(expected(images, ODD), abs=1e-5)
    assert embedder(images[:1]) == pytest.approx(expected(images[:1], ODD), abs=1e-5)
    assert embedder(images) == pytest.approx(expected(images, ODD), abs=1e-5)
    assert (embedder.dim, embedder.size, embedder.parameters) == (3, (8, 4), 3)
    assert embedder.files == (path, tmp_path / "a.bin")


def test_openvino_of_any_size(openvino, tmp_path):
    path = mean_ir(openvino, tmp_path / "a.xml", (-1, 3, -1, -1))
    images = crops(3)
    with pytest.raises(BadInputError, match="takes images of any size"):
        ForeignEmbedder(path, RAW, "cpu")
    sized = ForeignEmbedder(path, Preprocessing("rgb", (0, 0, 0), (1, 1, 1), (16, 8)), "cpu")
    assert sized(images) == pytest.approx(expected(images, RAW, (16, 8)), abs=1e-5)


def test_openvino_files_that_cannot_be_used(openvino, tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        ForeignEmbedder(tmp_path / "a.xml", RAW, "cpu")
    (tmp_path / "b.xml").write_text("<net>")
    with pytest.raises(ModelError, match=r"not an OpenVINO IR that can be read .*is its .bin beside it\?") as caught:
        ForeignEmbedder(tmp_path / "b.xml", RAW, "cpu")
    assert "\n" not in str(caught.value)
    path = mean_ir(openvino, tmp_path / "c.xml")
    with pytest.raises(BadInputError, match="runs on the CPU only; choose cpu"):
        ForeignEmbedder(path, RAW, "cuda")
    path.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"is its .bin beside it\?"):
        ForeignEmbedder(path, RAW, "cpu")
    with pytest.raises(ModelError, match=r"takes \(1, 1, 8, 4\); expected images"):
        ForeignEmbedder(mean_ir(openvino, tmp_path / "d.xml", (1, 1, 8, 4)), RAW, "cpu")
