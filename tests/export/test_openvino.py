"""OpenVINO's IR of an exported file: the same vectors, the metadata kept, and nothing left of what fails."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from export.openvino import read_metadata, write_openvino
from reid.errors import BadInputError, ModelError
from reid.graphs import import_openvino
from tests.export.small import HAS_OPENVINO
from tests.helpers import CARD, colour_embedder


@pytest.fixture
def source(tmp_path):
    return colour_embedder(tmp_path / "a.onnx")


@pytest.fixture
def openvino(tmp_path):
    """The package as the library imports it: without its telemetry."""
    if not HAS_OPENVINO:
        pytest.skip("the optional openvino is not installed")
    return import_openvino(tmp_path)


def test_the_ir_gives_the_vectors_of_the_file(openvino, source, tmp_path):
    told = []
    out = write_openvino(source, tmp_path / "new" / "a.xml", told.append)
    assert sorted(path.name for path in out.parent.iterdir()) == ["a.bin", "a.xml"]
    assert "MB of weights beside it" in told[-1]
    compiled = openvino.Core().compile_model(out, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    for shape in ((1, 8, 4, 3), (3, 5, 9, 3)):
        crops = rng.integers(0, 256, shape, np.uint8)
        assert compiled(crops)[0] == pytest.approx(session.run(None, {"crops": crops})[0], abs=1e-5)


def test_the_metadata_survive(openvino, tmp_path):
    entries = CARD.to_metadata() | {"reidtrack.detector.size": "640", "author": 'a "quoted" <name> & more'}
    out = write_openvino(colour_embedder(tmp_path / "a.onnx", metadata=entries), tmp_path / "a.xml")
    kept = {key: value for key, value in entries.items() if key != "author"} | {"reidtrack.author": entries["author"]}
    assert read_metadata(out) == kept


def test_a_file_without_metadata_has_none(openvino, tmp_path):
    assert read_metadata(write_openvino(colour_embedder(tmp_path / "a.onnx", metadata={}), tmp_path / "a.xml")) == {}


def test_half_precision_is_the_weights(openvino, tmp_path):
    values = np.random.default_rng(0).standard_normal((100, 100)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "weight"], ["y"])],
        "linear",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 100])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 100])],
        [onnx.numpy_helper.from_array(values, "weight")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "a.onnx")
    sizes = {}
    for precision in ("fp32", "fp16"):
        out = write_openvino(tmp_path / "a.onnx", tmp_path / f"{precision}.xml", precision=precision)
        sizes[precision] = out.with_suffix(".bin").stat().st_size
    assert sizes["fp32"] >= values.nbytes > sizes["fp16"] >= values.nbytes // 2


def test_an_ir_that_fails_its_check_leaves_what_was_there(openvino, source, tmp_path):
    for name in ("a.xml", "a.bin"):
        (tmp_path / name).write_text("the last good one")
    seen = []

    def check(path):
        seen.append((path.name, openvino.Core().read_model(path).input().any_name))
        raise ModelError("cosine 0.3")

    with pytest.raises(ModelError, match=r"cosine 0\.3"):
        write_openvino(source, tmp_path / "a.xml", check=check)
    assert seen == [("a.xml", "crops")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.onnx", "a.xml"]
    assert {(tmp_path / name).read_text() for name in ("a.xml", "a.bin")} == {"the last good one"}


def test_what_cannot_be_read_or_written_is_told(openvino, source, tmp_path):
    with pytest.raises(BadInputError, match=r"a\.onnx: an OpenVINO IR ends in \.xml"):
        write_openvino(source, tmp_path / "a.onnx")
    with pytest.raises(BadInputError, match="cannot be written"):
        write_openvino(source, source / "a.xml")
    (tmp_path / "b.onnx").write_text("not a model")
    for name in ("b.onnx", "absent.onnx"):
        with pytest.raises(ModelError, match=f"{name}: not an ONNX file that can be read"):
            write_openvino(tmp_path / name, tmp_path / "b.xml")
    (tmp_path / "b.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"b\.xml: not an OpenVINO IR"):
        read_metadata(tmp_path / "b.xml")


def test_without_openvino_the_remedy_and_the_exact_command_are_told(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    out = tmp_path / "a.xml"
    for precision, half in (("fp32", False), ("fp16", True)):
        with pytest.raises(ModelError) as caught:
            write_openvino(source, out, precision=precision)
        said = str(caught.value)
        assert "pip install 'reidtrack[openvino]'" in said
        assert said.endswith(f"ovc {source} --output_model {out} --compress_to_fp16={half}")
        assert "\n" not in said
