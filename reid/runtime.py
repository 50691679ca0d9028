"""Where networks run: the one place that chooses a device and opens an ONNX Runtime session.

ONNX Runtime's GPU build lists CUDA and TensorRT as available on machines without a GPU and logs red errors when they
are then asked for; so the driver is asked first, and only providers that can work are named.
"""

import contextlib
import ctypes
import functools
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from reid.errors import BadInputError, ModelError

_log = logging.getLogger(__name__)

Provider = str | tuple[str, dict[str, str]]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

# TensorRT builds an engine for minutes at the first batch of each new shape; so it is a user's own choice.
TENSORRT_SWITCH = "REIDTRACK_TENSORRT"
_TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
_EXACT_INT8 = "session.x64quantprecision"
_ERRORS_ONLY = 3  # ONNX Runtime's log severity
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _MOST = -3, -1, 2**31 - 1  # of glibc's mallopt; bytes
_REMEDY = "install onnxruntime-gpu[cuda,cudnn] and no onnxruntime beside it, or choose device cpu"
_OPENVINO_REMEDY = "install onnxruntime-openvino in the place of ONNX Runtime's other builds, or choose device cpu"
_TENSORRT_REMEDY = "pip install 'tensorrt-cu13>=10.13,<11'"


def providers(device: str, available: Sequence[str] | None = None, threads: int = 0) -> list[Provider]:
    """ONNX Runtime providers for a device, best first, the CPU always last.

    ========== =======================================================================================================
    cpu        CPU, nothing else
    cuda:N     CUDA, CPU; where the environment variable REIDTRACK_TENSORRT is 1, TensorRT before them
    tensorrt   TensorRT, CUDA, CPU, on the first GPU; no variable is needed
    openvino   OpenVINO, CPU: what ONNX Runtime's build for OpenVINO has
    auto       as cuda where the driver shows a GPU, with OpenVINO before the CPU where listed; else OpenVINO, CPU; else
               the CPU
    ========== =======================================================================================================

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``openvino``.
        available: names of the providers that ONNX Runtime was built with; None asks it.
        threads: of the CPU that share one operator, which OpenVINO takes as an option; 0 for its own choice.

    Returns:
        Names, or (name, options), as ``onnxruntime.InferenceSession`` takes them.

    Raises:
        BadInputError: the device is malformed, is not on this machine, or ONNX Runtime was built without it; or
            TensorRT is asked for and its library does not load.
    """
    names = onnxruntime.get_available_providers() if available is None else available
    chosen = _choose(device, 0 if device in ("cpu", "openvino") else cuda_device_count())
    openvino: list[Provider] = [_openvino(threads)] if OPENVINO in names else []
    if device == "openvino":
        if not openvino:
            raise BadInputError(f"device {device!r}: this ONNX Runtime has no OpenVINO; {_OPENVINO_REMEDY}")
        return [*openvino, CPU]
    if device == "cpu":
        return [CPU]
    if chosen == "cpu" or (device == "auto" and CUDA not in names):
        return [*openvino, CPU]
    if CUDA not in names:
        raise BadInputError(f"device {device!r}: this ONNX Runtime has no CUDA; {_REMEDY}")
    return [*_nvidia(device, chosen.partition(":")[2], names), *(openvino if device == "auto" else []), CPU]


def _nvidia(device: str, number: str, names: Sequence[str]) -> list[Provider]:
    """The providers of a GPU: CUDA, after TensorRT where that is asked for."""
    # The default search times every convolution algorithm anew for each batch size.
    cuda: Provider = (CUDA, {"device_id": number, "cudnn_conv_algo_search": "HEURISTIC"})
    switched = os.environ.get(TENSORRT_SWITCH) == "1"
    if device != "tensorrt" and not switched:
        return [cuda]
    if TENSORRT not in names or not _load_tensorrt():
        if device == "tensorrt":
            raise BadInputError(f"device {device!r}: TensorRT does not load; {_TENSORRT_REMEDY}, or choose device cuda")
        raise BadInputError(f"{TENSORRT_SWITCH} is 1 but TensorRT does not load; {_TENSORRT_REMEDY} or unset it")
    return [(TENSORRT, {"device_id": number}), cuda]


def _openvino(threads: int) -> Provider:
    """OpenVINO on the CPU, in float32: by default it rounds to bfloat16 on processors that compute that faster."""
    options = {"device_type": "CPU", "precision": "FP32"}
    return (OPENVINO, options | {"num_of_threads": str(threads)} if threads else options)


def open_session(model: Path | bytes, device: str = "auto", threads: int = 0) -> onnxruntime.InferenceSession:
    """Open an ONNX model on a device.

    With ``auto``, a device that ONNX Runtime cannot use is logged as a warning and the CPU is used instead.

    Args:
        model: a file, or a file's content.
        device: as in ``providers``.
        threads: threads that share one operator; 0 for one per core.

    Raises:
        ModelError: the file is absent, or is not an ONNX model that ONNX Runtime can run.
        BadInputError: as ``providers``; or the device was asked for by name and does not load.
    """
    name = "model" if isinstance(model, bytes) else str(model)
    if isinstance(model, Path) and not model.is_file():
        raise ModelError(f"{name}: no such model; check the path")
    wanted = providers(device, threads=threads)
    if wanted == [CPU]:
        return _create(model, name, wanted, threads)
    first = wanted[0][0]
    if first != OPENVINO:
        with contextlib.redirect_stdout(sys.stderr):  # preload_dlls prints what it cannot load
            onnxruntime.preload_dlls()
    problem, remedy = "its libraries do not load", _OPENVINO_REMEDY if first == OPENVINO else _REMEDY
    try:
        session = _create(model, name, wanted, threads)
        got = session.get_providers()[0]
        if got == first or (got != CPU and device != "tensorrt"):
            return session
    except ModelError as error:
        problem = str(error)
        session = _create(model, name, [CPU], threads)  # a file that the CPU cannot open either is the file's fault
    if device != "auto":
        raise BadInputError(f"device {device!r}: ONNX Runtime cannot use it ({problem}); {remedy}")
    _log.warning("ONNX Runtime cannot use its %s (%s); running on the CPU. To use it, %s", first, problem, remedy)
    return session


def loads(provider: str) -> bool:
    """Whether a provider that ONNX Runtime lists really works here: it runs a model of one node.

    CUDA and TensorRT are only tried where the driver shows a device, because trying them elsewhere logs errors.
    """
    if provider in (CUDA, TENSORRT) and not cuda_device_count():
        return False
    if provider == TENSORRT and not _load_tensorrt():
        return False
    if provider == CUDA:
        with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(Exception):
            onnxruntime.preload_dlls()
    try:
        session = _create(_one_node(), provider, [provider], 1)
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception:  # whatever it raises, it does not work
        return False
    return bool(session.get_providers()[0] == provider)


def _one_node() -> bytes:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "one_node", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda:N`` for what PyTorch runs: the device that a name means on this machine.

    Beside ``openvino`` PyTorch runs on the CPU, beside ``tensorrt`` on the first GPU.
    Imports torch: whether a GPU serves depends on how torch was built.

    Raises:
        BadInputError: the device is malformed or PyTorch cannot use it.
    """
    import torch

    return _choose(device, torch.cuda.device_count() if torch.cuda.is_available() else 0)


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees, for the rest of its life; whether it could be arranged.

    By default glibc returns every block above 32 MiB to the system at once, and the system clears its pages before it
    gives them out again. Training on the CPU frees and takes such blocks for every layer of every batch: kept, it is
    about 1.5 times as fast. Other C libraries have no such switch and are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not glibc; TypeError is how Windows says that None is no library
        return False
    return all(mallopt(switch, _MOST) == 1 for switch in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))


def cuda_device_count() -> int:
    """CUDA devices that the driver shows to this process (it heeds CUDA_VISIBLE_DEVICES); 0 without a driver.

    As any first use of CUDA, this rules out using CUDA in children that are forked later; start them by spawn.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        succeeded = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    except (OSError, AttributeError):  # no such library, or one that is not the driver
        return 0
    return count.value if succeeded else 0


def _choose(device: str, count: int) -> str:
    """``cpu`` or ``cuda:N`` on a machine with ``count`` CUDA devices."""
    match = re.fullmatch(r"auto|cpu|openvino|tensorrt|cuda(?::(\d{1,3}))?", device)
    if match is None:
        raise BadInputError(
            f"device {device!r} is unknown; write auto, cpu, cuda or, for the second GPU, cuda:1; or openvino, tensorrt"
        )
    if device in ("cpu", "openvino") or (device == "auto" and count == 0):
        return "cpu"
    number = int(match[1] or 0)
    if number >= count:
        raise BadInputError(f"device {device!r}: this machine shows {count} CUDA devices; choose auto or cpu")
    return f"cuda:{number}"


def _create(model: Path | bytes, name: str, wanted: list[Provider], threads: int) -> onnxruntime.InferenceSession:
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    if _may_saturate():
        options.add_session_config_entry(_EXACT_INT8, "1")
    source = model if isinstance(model, bytes) else str(model)
    try:  # without enable_fallback=0, a failure is printed to stdout and quietly retried on the CPU
        return onnxruntime.InferenceSession(source, options, providers=wanted, enable_fallback=0)
    except Exception as error:  # a dozen unrelated types, one for each status code
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"{name}: not an ONNX model that can be run ({reason}); give one made by `reidtrack export`"
        ) from None


@functools.cache
def _may_saturate() -> bool:
    """Whether this processor may add products of 8-bit numbers in 16 bits, and so cut them off: x86 without VNNI.

    ONNX Runtime then has exact kernels; it takes the slower ones wherever it is told to, so it is told only here. On
    processors other than x86 it does nothing with it.
    """
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux: it is not told
        return True


def _load_tensorrt() -> bool:
    """Load TensorRT's libraries, from the system or from the pip package, which is on no search path."""
    folder = Path()
    spec = importlib.util.find_spec("tensorrt_libs")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0])
    try:
        for library in _TENSORRT_LIBRARIES:
            ctypes.CDLL(str(folder / library), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
