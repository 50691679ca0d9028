"""TensorRT engines: the graph as TensorRT wants it, the command that builds it, and the build itself.

The build runs against a stand-in for the ``tensorrt`` package that has the names of TensorRT 10's Python API and no
others. Its engines hold the graph that was parsed, and compute it with ONNX Runtime on the very memory that they are
given the addresses of.
"""

import ctypes
import stat
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export import tensorrt as engines
from export.tensorrt import open_engine, trtexec_script, write_tensorrt
from export.tensorrt_graph import suited_graph
from reid.errors import BadInputError, ModelError
from reid.images import resize_crop

SIZE = (8, 4)
METADATA = {"reidtrack.colour": "bgr", "reidtrack.mean": "10:20:30", "reidtrack.std": "2:4:8"}


def plain(path, shape=("n", 3, *SIZE), kind=TensorProto.FLOAT, metadata=METADATA):
    """Images to their channels' means."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images", "space"], ["vectors"], keepdims=0)],
        "plain",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("vectors", kind, ["n", 3])],
        [helper.make_tensor("space", TensorProto.INT64, [2], [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def quantised(path, zero=0, kind=np.int8):
    """Images, quantised, to a 1x1 convolution with weights in int8 and a bias in int32, which has a scale a channel."""
    scales = np.array([0.5, 0.25, 2], np.float32)
    stored = {
        "scale": np.float32(0.1),
        "zero": kind(zero),
        "weight_q": np.arange(9, dtype=np.int8).reshape(3, 3, 1, 1),
        "weight_zero": np.int8(0),
        "bias_q": np.array([4, -8, 3], np.int32),
        "bias_scale": scales,
        "bias_zero": np.zeros(3, np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["images_q"]),
        helper.make_node("DequantizeLinear", ["images_q", "scale", "zero"], ["images_d"], name="images_dequantise"),
        helper.make_node("DequantizeLinear", ["weight_q", "scale", "weight_zero"], ["weight"]),
        helper.make_node("DequantizeLinear", ["bias_q", "bias_scale", "bias_zero"], ["bias"], axis=0),
        helper.make_node("Conv", ["images_d", "weight", "bias"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, *SIZE])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, METADATA)
    onnx.save(model, path)
    return path


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, *SIZE)).astype(np.float32)


def run(path, batch):
    model = path if isinstance(path, bytes) else path.read_bytes()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"images": batch})[0]


class Fake:
    """The part of TensorRT 10 that an engine needs, and what was asked of it."""

    def __init__(self, version="10.16.1.11", refuses=None):
        self.calls, self.refuses = [], refuses
        self.module = types.ModuleType("tensorrt")
        names = {"__version__": version, "ILogger": self.logger(), "BuilderFlag": self.flags("FP16", "INT8", "TF32")}
        names |= {"TensorIOMode": self.flags("NONE", "INPUT", "OUTPUT"), "Builder": self.builder}
        names |= {"OnnxParser": self.parser, "Runtime": self.runtime}
        for name, value in names.items():
            setattr(self.module, name, value)

    @staticmethod
    def flags(*names):
        return types.SimpleNamespace(**{name: f"flag {name}" for name in names})

    def logger(self):
        severities = self.flags("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
        return type("ILogger", (), {"Severity": severities, "__init__": lambda own: None})

    def note(self, name, result=None):
        return lambda *given, **named: (self.calls.append((name, *given, *named.items())), result)[1]

    def builder(self, logger):
        self.said = logger

        def build(network, config):
            if self.refuses == "build":
                logger.log(self.module.ILogger.Severity.WARNING, "slow")
                logger.log(self.module.ILogger.Severity.ERROR, "no kernel\n for Conv_3")
                return None
            self.calls.append(("build",))
            return memoryview(b"engine " + network.content)

        return types.SimpleNamespace(
            create_network=lambda flags: types.SimpleNamespace(content=None, flags=flags),
            create_builder_config=self.config,
            create_optimization_profile=lambda: types.SimpleNamespace(set_shape=self.note("set_shape")),
            build_serialized_network=build,
        )

    def config(self):
        state = {}

        def attach(cache, ignore_mismatch):
            if b"another GPU" in cache.content:
                return False
            state["cache"] = cache
            return True

        def create(content):
            self.calls.append(("create_timing_cache", content))
            return types.SimpleNamespace(content=content, serialize=lambda: memoryview(content + b"times "))

        return types.SimpleNamespace(
            set_flag=self.note("set_flag"),
            clear_flag=self.note("clear_flag"),
            add_optimization_profile=self.note("add_optimization_profile", 0),
            create_timing_cache=create,
            set_timing_cache=attach,
            get_timing_cache=lambda: state["cache"],
        )

    def parser(self, network, logger):
        def parse(path):
            network.content = Path(path).read_bytes()
            return self.refuses != "parse"

        error = types.SimpleNamespace(desc=lambda: "In node 3\n unsupported Resize")
        return types.SimpleNamespace(parse_from_file=parse, num_errors=1, get_error=lambda number: error)

    def runtime(self, logger):
        def deserialize(content):
            if self.refuses == "load" or not content.startswith(b"engine "):
                logger.log(self.module.ILogger.Severity.ERROR, "built for sm_90")
                return None
            graph, names = content.removeprefix(b"engine "), ["vectors", "images"]
            mode = {"images": self.module.TensorIOMode.INPUT, "vectors": self.module.TensorIOMode.OUTPUT}
            return types.SimpleNamespace(
                num_io_tensors=2,
                get_tensor_name=lambda number: names[number],
                get_tensor_mode=lambda name: mode[name],
                create_execution_context=lambda: self.context(graph, names),
            )

        return types.SimpleNamespace(deserialize_cuda_engine=deserialize)

    def context(self, graph, names):
        shapes = {}

        def set_input_shape(name, shape):
            shapes.update({name: shape, "vectors": (shape[0], 3)})
            return shape[0] <= 4

        def execute(addresses):
            if self.refuses == "run":
                return False
            where = dict(zip(names, addresses, strict=True))
            arrays = {
                name: np.ctypeslib.as_array(ctypes.cast(where[name], ctypes.POINTER(ctypes.c_float)), shapes[name])
                for name in names
            }
            arrays["vectors"][:] = run(graph, arrays["images"].copy())
            return True

        return types.SimpleNamespace(
            set_input_shape=set_input_shape, get_tensor_shape=lambda name: shapes[name], execute_v2=execute
        )

    def asked(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU and a stand-in for TensorRT."""
    monkeypatch.setattr(engines, "cuda_device_count", lambda: 1)

    def install(**how):
        fake = Fake(**how)
        monkeypatch.setitem(sys.modules, "tensorrt", fake.module)
        return fake

    return install


@pytest.fixture
def told():
    return []


def test_without_tensorrt_the_graph_and_the_command_are_written(tmp_path, monkeypatch, told):
    monkeypatch.setattr(engines, "cuda_device_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    source, out = plain(tmp_path / "plain.onnx"), tmp_path / "new" / "my model.engine"
    assert write_tensorrt(source, out, "fp16", (1, 8, 64), report=told.append) is None
    assert sorted(path.name for path in out.parent.iterdir()) == ["my model.engine.onnx", "my model.engine.trtexec.sh"]
    script = out.with_name("my model.engine.trtexec.sh")
    assert script.stat().st_mode & stat.S_IXUSR
    assert np.array_equal(run(out.with_name("my model.engine.onnx"), images(2)), run(source, images(2)))
    assert len(told) == 1
    assert "my model.engine.trtexec.sh builds it" in told[0]
    assert "tensorrt-cu13" in told[0]


def test_without_a_gpu_tensorrt_is_not_even_imported(tmp_path, monkeypatch, told):
    monkeypatch.setattr(engines, "cuda_device_count", lambda: 0)
    monkeypatch.setattr(engines.importlib, "import_module", None)
    assert write_tensorrt(plain(tmp_path / "p.onnx"), tmp_path / "a.engine", "fp32", report=told.append) is None
    assert "driver shows none" in told[0]


def test_another_release_is_not_used(tmp_path, machine, told):
    machine(version="11.0.0")
    assert write_tensorrt(plain(tmp_path / "p.onnx"), tmp_path / "a.engine", "fp32", report=told.append) is None
    assert "TensorRT 11.0.0 is not release 10.x" in told[0]


FLAGS = {"fp32": {"--noTF32"}, "fp16": {"--fp16"}, "int8": {"--int8", "--fp16"}}


@pytest.mark.parametrize("precision", FLAGS)
def test_the_script_calls_trtexec_in_its_own_folder(tmp_path, precision):
    """It runs here, with a ``trtexec`` that tells what it was called with and where."""
    folder, tools = tmp_path / "a folder", tmp_path / "bin"
    folder.mkdir()
    tools.mkdir()
    shapes = [(1, 3, *SIZE), (8, 3, *SIZE), (64, 3, *SIZE)]
    (folder / "build.sh").write_text(trtexec_script("my $model.engine", "images", shapes, precision))
    tool = tools / "trtexec"
    tool.write_text('#!/bin/sh\npwd\nfor argument in "$@"; do echo "$argument"; done\n')
    tool.chmod(0o755)
    made = subprocess.run(
        ["sh", str(folder / "build.sh"), "--verbose"],
        env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    where, *arguments = made.stdout.splitlines()
    assert where == str(folder)
    assert set(arguments) == FLAGS[precision] | {
        "--onnx=my $model.engine.onnx",
        "--saveEngine=my $model.engine",
        "--minShapes=images:1x3x8x4",
        "--optShapes=images:8x3x8x4",
        "--maxShapes=images:64x3x8x4",
        "--timingCacheFile=my $model.engine.timing",
        "--skipInference",
        "--verbose",
    }
    assert len(arguments) == len(set(arguments))


def test_a_script_that_fails_says_so(tmp_path):
    script = tmp_path / "build.sh"
    script.write_text(trtexec_script("a.engine", "images", [(1, 3, *SIZE)] * 3, "fp32"))
    made = subprocess.run(["/bin/sh", str(script)], env={"PATH": "/nowhere"}, capture_output=True, check=False)
    assert made.returncode != 0


@pytest.mark.parametrize("precision", FLAGS)
def test_an_engine_is_built_with_the_precisions_flags_and_one_profile(tmp_path, machine, told, precision):
    fake = machine()
    source = (quantised if precision == "int8" else plain)(tmp_path / "p.onnx")
    out = tmp_path / "a.engine"
    assert write_tensorrt(source, out, precision, (1, 2, 4), report=told.append) == out
    assert fake.asked("set_shape") == [("images", (1, 3, 8, 4), (2, 3, 8, 4), (4, 3, 8, 4))]
    assert len(fake.asked("add_optimization_profile")) == 1
    expected = {"fp32": [], "fp16": ["flag FP16"], "int8": ["flag INT8", "flag FP16"]}[precision]
    assert [flag for (flag,) in fake.asked("set_flag")] == expected
    assert fake.asked("clear_flag") == ([("flag TF32",)] if precision == "fp32" else [])
    assert (tmp_path / "a.engine.trtexec.sh").is_file()  # for other machines
    vectors = open_engine(out, "cpu")(images(3))
    assert vectors.dtype == np.float32
    assert vectors == pytest.approx(run(source, images(3)), abs=1e-5)


def test_the_timing_cache_is_kept_and_used_again(tmp_path, machine):
    fake, source, out = machine(), plain(tmp_path / "p.onnx"), tmp_path / "a.engine"
    write_tensorrt(source, out, "fp16")
    write_tensorrt(source, out, "fp16")
    assert fake.asked("create_timing_cache") == [(b"",), (b"times ",)]
    assert (tmp_path / "a.engine.timing").read_bytes() == b"times times "


def test_another_gpus_timing_cache_begins_anew(tmp_path, machine):
    machine()
    (tmp_path / "a.engine.timing").write_bytes(b"another GPU")
    write_tensorrt(plain(tmp_path / "p.onnx"), tmp_path / "a.engine", "fp16")
    assert (tmp_path / "a.engine.timing").read_bytes() == b"times "


def test_an_engine_that_fails_its_check_is_not_put_in_place(tmp_path, machine):
    machine()
    out, seen = tmp_path / "a.engine", []
    out.write_bytes(b"the last good one")

    def check(path):
        seen.append(open_engine(path, "cpu")(images(2)).shape)
        raise ModelError("cosine 0.3")

    with pytest.raises(ModelError, match=r"cosine 0\.3"):
        write_tensorrt(plain(tmp_path / "p.onnx"), out, "fp16", check=check)
    assert seen == [(2, 3)]
    assert out.read_bytes() == b"the last good one"
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


@pytest.mark.parametrize(
    ("refuses", "message"),
    [
        (
            "parse",
            r"a\.engine\.onnx: TensorRT cannot read it \(In node 3 unsupported Resize\); export it with an older",
        ),
        ("build", r"a\.engine\.onnx: TensorRT cannot build it \(no kernel for Conv_3\); try precision fp32"),
    ],
)
def test_what_tensorrt_refuses_is_one_line_with_its_reason(tmp_path, machine, refuses, message):
    machine(refuses=refuses)
    with pytest.raises(ModelError, match=message) as caught:
        write_tensorrt(plain(tmp_path / "p.onnx"), tmp_path / "a.engine", "fp16")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.engine").exists()


def test_an_engine_that_does_not_run_here_is_one_line(tmp_path, machine, monkeypatch):
    fake, out = machine(), tmp_path / "a.engine"
    write_tensorrt(plain(tmp_path / "p.onnx"), out, "fp16")
    engine = open_engine(out, "cpu")
    with pytest.raises(ModelError, match="not built for 5 crops at once"):
        engine(images(5))
    fake.refuses = "run"
    with pytest.raises(ModelError, match="TensorRT cannot run it"):
        engine(images(1))
    fake.refuses = "load"
    with pytest.raises(ModelError, match=r"cannot load it \(built for sm_90\); build it again on this machine"):
        open_engine(out, "cpu")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ModelError, match="needs TensorRT; pip install"):
        open_engine(out, "cpu")


def test_quantised_biases_become_floats_and_nothing_else_changes(tmp_path):
    source = quantised(tmp_path / "q.onnx")
    graph = suited_graph(source, "int8")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    assert stored["bias"].tolist() == [4 * 0.5, -8 * 0.25, 3 * 2]
    assert [node.op_type for node in graph.graph.node].count("DequantizeLinear") == 2
    assert run(graph.SerializeToString(), images(4)) == pytest.approx(run(source, images(4)), abs=1e-6)


def test_weights_stored_in_half_precision_become_floats(tmp_path):
    source = plain(tmp_path / "p.onnx")
    model = onnx.load(source)
    model.graph.node[0].output[0] = "means"
    model.graph.node.append(helper.make_node("Cast", ["half"], ["factor"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Mul", ["means", "factor"], ["vectors"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0.5, 2, 3], np.float16), "half"))
    onnx.save(model, source)
    graph = suited_graph(source, "fp32")
    assert {tensor.data_type for tensor in graph.graph.initializer} == {TensorProto.INT64, TensorProto.FLOAT}
    assert np.array_equal(run(graph.SerializeToString(), images(3)), run(source, images(3)))


def test_int8_crops_are_written_as_the_graph_takes_them(tmp_path, machine, monkeypatch):
    monkeypatch.setattr(engines, "cuda_device_count", lambda: 0)
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((5, 9), (20, 10))]
    write_tensorrt(quantised(tmp_path / "q.onnx"), tmp_path / "a.engine", "int8", crops=crops)
    with np.load(tmp_path / "a.engine.calibration.npz") as data:
        assert list(data) == ["images"]
        found = data["images"]
    for image, crop in zip(found, crops, strict=True):
        pixels = resize_crop(crop, SIZE).astype(float)
        for channel, (mean, std) in enumerate(zip((10, 20, 30), (2, 4, 8), strict=True)):
            assert image[channel] == pytest.approx((pixels[:, :, 2 - channel] - mean) / std, abs=1e-4)  # BGR


@pytest.mark.parametrize(
    ("make", "how", "precision", "message"),
    [
        (plain, {"shape": ("n", 8, 4, 3)}, "fp16", r"not the plain variant.*export it with --plain"),
        (plain, {"shape": ("n", 3, "h", 4)}, "fp16", "not the plain variant"),
        (plain, {"kind": TensorProto.DOUBLE}, "fp16", "not the plain variant"),
        (plain, {"shape": (2, 3, 8, 4)}, "fp16", "its batch is fixed to 2; export it with --batch dynamic"),
        (plain, {}, "int8", "is not quantised, so no int8 engine"),
        (quantised, {}, "fp16", "is quantised, so no fp16 engine.*choose precision int8"),
        (quantised, {"zero": 3}, "int8", "images_q has a zero point other than an int8 0"),
        (quantised, {"zero": 128, "kind": np.uint8}, "int8", "zero point.*or choose precision fp16"),
    ],
)
def test_a_graph_that_tensorrt_would_refuse_is_told_before(tmp_path, machine, make, how, precision, message):
    fake = machine()
    with pytest.raises(ModelError, match=message) as caught:
        write_tensorrt(make(tmp_path / "p.onnx", **how), tmp_path / "a.engine", precision)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["p.onnx"]
    assert fake.calls == []


def test_what_makes_no_sense_is_told(tmp_path):
    source = plain(tmp_path / "p.onnx")
    for batches in ((0, 1, 2), (2, 1, 3), (1, 4, 3)):
        with pytest.raises(BadInputError, match="smallest, usual and largest"):
            write_tensorrt(source, tmp_path / "a.engine", "fp16", batches)
    with pytest.raises(ValueError, match="precision: expected one of fp32, fp16, int8, got 'fp8'"):
        write_tensorrt(source, tmp_path / "a.engine", "fp8")
    with pytest.raises(ModelError, match="not an ONNX file that can be read"):
        write_tensorrt(tmp_path / "absent.onnx", tmp_path / "a.engine", "fp16")
    with pytest.raises(BadInputError, match="cannot be written"):
        write_tensorrt(source, source / "a.engine", "fp16")
