import ctypes
import platform
from itertools import chain, combinations, product
from pathlib import Path

import pytest

from reid import runtime
from reid.errors import BadInputError, ModelError
from reid.runtime import (
    CPU,
    CUDA,
    OPENVINO,
    TENSORRT,
    cuda_device_count,
    keep_freed_memory,
    open_session,
    providers,
    resolve_device,
)
from tests.helpers import colour_embedder

ALL = [TENSORRT, CUDA, CPU]


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that the driver shows so many devices."""
    monkeypatch.delenv(runtime.TENSORRT_SWITCH, raising=False)
    return lambda count: monkeypatch.setattr(runtime, "cuda_device_count", lambda: count)


def names(found):
    return [entry if isinstance(entry, str) else entry[0] for entry in found]


@pytest.mark.parametrize(
    ("device", "count", "available", "expected"),
    [
        ("cpu", 2, ALL, [CPU]),
        ("auto", 0, ALL, [CPU]),  # what ONNX Runtime was built with says nothing of the machine
        ("auto", 2, ALL, [CUDA, CPU]),
        ("auto", 2, [CPU], [CPU]),
        ("cuda", 1, ALL, [CUDA, CPU]),
        ("cuda:1", 2, ALL, [CUDA, CPU]),
    ],
)
def test_providers(gpus, device, count, available, expected):
    gpus(count)
    assert names(providers(device, available)) == expected


BUILDS = list(chain.from_iterable(combinations([TENSORRT, CUDA, OPENVINO], n) for n in range(4)))  # each with the CPU
DEVICES = ["auto", "cpu", "cuda", "cuda:1", "tensorrt", "openvino"]


def promised(device, listed, count, switched):
    """The rule of the docstring, provider by provider; None where it is an error."""
    gpu = device in ("cuda", "cuda:1", "tensorrt") or (device == "auto" and count > 0 and CUDA in listed)
    if gpu and (CUDA not in listed or count <= (device == "cuda:1")):
        return None
    wants = [
        (TENSORRT, gpu and (device == "tensorrt" or switched)),
        (CUDA, gpu),
        (OPENVINO, device == "openvino" or (device == "auto" and OPENVINO in listed)),
        (CPU, True),
    ]
    found = [name for name, wanted in wants if wanted]
    return found if set(found) <= {*listed, CPU} else None


@pytest.mark.parametrize("device", DEVICES)
def test_every_build_on_every_machine_gives_the_promised_order(gpus, monkeypatch, device):
    monkeypatch.setattr(runtime, "_load_tensorrt", lambda: True)
    seen = set()
    for listed, count, switched in product(BUILDS, (0, 1, 2), (False, True)):
        gpus(count)
        monkeypatch.setenv(runtime.TENSORRT_SWITCH, "1" if switched else "0")
        expected = promised(device, listed, count, switched)
        if expected is None:
            with pytest.raises(BadInputError) as caught:
                providers(device, [*listed, CPU])
            assert "\n" not in str(caught.value)
        else:
            assert names(providers(device, [*listed, CPU])) == expected
        seen.add(expected is None)
    assert seen == ({False} if device == "cpu" else {False, True})


def test_openvino_computes_in_float32_on_as_many_threads_as_are_asked_for(gpus):
    gpus(0)
    ((name, options), cpu) = providers("auto", [OPENVINO, CPU])
    assert (name, cpu, options) == (OPENVINO, CPU, {"device_type": "CPU", "precision": "FP32"})
    assert providers("openvino", [OPENVINO, CPU], threads=3)[0][1]["num_of_threads"] == "3"


def test_the_device_number_reaches_cuda(gpus):
    gpus(4)
    assert providers("cuda:3", ALL)[0][1]["device_id"] == "3"
    assert providers("cuda", ALL)[0][1]["device_id"] == "0"


@pytest.mark.parametrize("device", ["gpu7", "cuda:", "cuda:-1", "cuda:x", "CUDA", "", "cuda:0 ", "cuda:99999999999"])
def test_a_malformed_device_is_bad_input(gpus, device):
    gpus(1)
    with pytest.raises(BadInputError, match="write auto, cpu, cuda") as caught:
        providers(device, ALL)
    assert caught.value.exit_code == 2
    with pytest.raises(BadInputError, match="write auto, cpu, cuda"):
        resolve_device(device)


def test_cuda_asked_for_by_name_must_be_there(gpus):
    gpus(1)
    with pytest.raises(BadInputError, match="shows 1 CUDA devices; choose"):
        providers("cuda:1", ALL)
    with pytest.raises(BadInputError, match="has no CUDA; install"):
        providers("cuda", [CPU])
    gpus(0)
    with pytest.raises(BadInputError, match="shows 0 CUDA devices"):
        providers("cuda", ALL)
    with pytest.raises(BadInputError, match="has no OpenVINO; install onnxruntime-openvino"):
        providers("openvino", ALL)


def test_tensorrt_is_the_users_choice(gpus, monkeypatch):
    gpus(1)
    monkeypatch.setenv(runtime.TENSORRT_SWITCH, "1")
    monkeypatch.setattr(runtime, "_load_tensorrt", lambda: True)
    assert names(providers("cuda", ALL)) == [TENSORRT, CUDA, CPU]
    assert providers("cpu", ALL) == [CPU]
    monkeypatch.setattr(runtime, "_load_tensorrt", lambda: False)
    with pytest.raises(BadInputError, match=r"REIDTRACK_TENSORRT is 1 but .* pip install .* or unset it"):
        providers("cuda", ALL)
    monkeypatch.delenv(runtime.TENSORRT_SWITCH)
    with pytest.raises(BadInputError, match=r"device 'tensorrt': .* pip install .* or choose device cuda"):
        providers("tensorrt", ALL)


def test_a_missing_or_foreign_driver_shows_no_device(monkeypatch):
    def missing(name):
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda_device_count() == 0
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert cuda_device_count() == 0


def test_resolve_device_for_torch(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [resolve_device(d) for d in ("auto", "cpu", "cuda", "cuda:1")] == ["cuda:0", "cpu", "cuda:0", "cuda:1"]
    assert [resolve_device(d) for d in ("openvino", "tensorrt")] == ["cpu", "cuda:0"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(BadInputError, match="shows 0 CUDA devices"):
        resolve_device("cuda:0")


def test_a_session_opens_from_a_file_and_from_bytes(tmp_path, capfd):
    path = colour_embedder(tmp_path / "a.onnx")
    assert open_session(path, "cpu").get_providers() == [CPU]
    assert open_session(path.read_bytes(), "cpu", threads=1).get_providers() == [CPU]
    assert open_session(path).get_inputs()[0].name == "crops"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)])
def test_a_file_that_is_no_model_is_one_clear_line(tmp_path, content, capfd):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a.onnx: not an ONNX model") as caught:
        open_session(path, "cpu")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ModelError, match="no such model"):
        open_session(tmp_path / "absent.onnx", "cpu")


class Fallen:
    """A session that did not get the provider it was asked for."""

    def get_providers(self):
        return [CPU]


def test_cuda_that_does_not_load_is_an_error_only_where_asked_for(gpus, monkeypatch, tmp_path, caplog):
    path = colour_embedder(tmp_path / "a.onnx")
    gpus(1)
    monkeypatch.setattr(runtime.onnxruntime, "preload_dlls", lambda: print("cannot load"), raising=False)
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ALL)
    monkeypatch.setattr(runtime, "_create", lambda *given: Fallen())
    with pytest.raises(BadInputError, match="install onnxruntime-gpu") as caught:
        open_session(path, "cuda:0")
    assert caught.value.exit_code == 2
    assert open_session(path, "auto").get_providers() == [CPU]
    assert "running on the CPU" in caplog.text


def test_a_failing_cuda_session_falls_back_only_with_auto(gpus, monkeypatch, tmp_path, capsys):
    path = colour_embedder(tmp_path / "a.onnx")
    gpus(1)
    monkeypatch.setattr(runtime.onnxruntime, "preload_dlls", lambda: print("cannot load"), raising=False)
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ALL)
    create = runtime._create

    def failing(model, name, wanted, threads):
        if wanted != [CPU]:
            raise ModelError("cudaErrorNoDevice")
        return create(model, name, wanted, threads)

    monkeypatch.setattr(runtime, "_create", failing)
    assert open_session(path, "auto").get_providers() == [CPU]
    with pytest.raises(BadInputError, match="cudaErrorNoDevice"):
        open_session(path, "cuda")
    assert capsys.readouterr().out == ""  # results alone go to stdout
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="not an ONNX model"):
        open_session(path, "auto")


def test_openvino_that_does_not_load_is_an_error_only_where_asked_for(gpus, monkeypatch, tmp_path, caplog):
    path = colour_embedder(tmp_path / "a.onnx")
    gpus(0)
    monkeypatch.setattr(runtime.onnxruntime, "preload_dlls", None, raising=False)  # CUDA's libraries are not touched
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: [OPENVINO, CPU])
    create, asked = runtime._create, []

    def failing(model, name, wanted, threads):
        asked.append(names(wanted))
        if wanted != [CPU]:
            raise ModelError("plugins.xml is missing")
        return create(model, name, wanted, threads)

    monkeypatch.setattr(runtime, "_create", failing)
    assert open_session(path, "auto").get_providers() == [CPU]
    assert "cannot use its OpenVINOExecutionProvider (plugins.xml is missing)" in caplog.text
    with pytest.raises(BadInputError, match=r"plugins\.xml is missing.*install onnxruntime-openvino"):
        open_session(path, "openvino")
    assert asked == [[OPENVINO, CPU], [CPU]] * 2
    open_session(path, "cpu")
    assert asked[-1] == [CPU]


class OnCuda:
    """A session whose TensorRT did not load, so that CUDA runs it."""

    def get_providers(self):
        return [CUDA, CPU]


def test_cuda_in_the_place_of_tensorrt_serves_unless_tensorrt_was_asked_for_by_name(gpus, monkeypatch, tmp_path):
    path = colour_embedder(tmp_path / "a.onnx")
    gpus(1)
    monkeypatch.setattr(runtime.onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ALL)
    monkeypatch.setattr(runtime, "_load_tensorrt", lambda: True)
    monkeypatch.setattr(runtime, "_create", lambda *given: OnCuda())
    with pytest.raises(BadInputError, match="device 'tensorrt': ONNX Runtime cannot use it"):
        open_session(path, "tensorrt")
    monkeypatch.setenv(runtime.TENSORRT_SWITCH, "1")
    assert open_session(path, "cuda").get_providers() == [CUDA, CPU]


def test_freed_memory_is_kept_where_the_c_library_can():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_another_c_library_keeps_its_ways(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()


@pytest.mark.parametrize(("flags", "asked"), [("avx2 avx512f", "1"), ("avx2 avx512_vnni", None), (None, "1")])
def test_sums_of_8_bit_products_are_asked_to_be_exact_where_the_processor_may_cut_them_off(monkeypatch, flags, asked):
    """Where it is exact by itself, being asked would only cost time."""

    def read(path, **_):
        if flags is None:
            raise FileNotFoundError(path)
        return f"flags : {flags}\n"

    monkeypatch.setattr(Path, "read_text", read)
    runtime._may_saturate.cache_clear()
    options = open_session(runtime._one_node(), "cpu").get_session_options()
    runtime._may_saturate.cache_clear()
    try:
        found = options.get_session_config_entry("session.x64quantprecision")
    except RuntimeError:  # there is no such entry
        found = None
    assert found == asked
