"""What this machine would use, and why: for ``reidtrack doctor``."""

import importlib.util
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reid.errors import ReidTrackError
from tracker.files import cache_folder, sha256
from tracker.manifest import package_versions


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what to do about it (empty where nothing)."""

    subject: str
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything a run depends on; never raises for what it finds."""
    yield Finding("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    for package, number in package_versions().items():
        yield Finding(package, number)
    yield from _gpu()
    yield from _providers()
    yield from _models()
    yield from _codecs()
    yield _disk("working folder", Path.cwd())
    yield _disk("cache", cache_folder())


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            memory = properties.total_memory / 2**30
            yield Finding(f"GPU cuda:{number}", f"{properties.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}")
    elif torch.version.cuda is None:
        yield Finding("GPU", "this PyTorch is a CPU build", "with an NVIDIA GPU, install PyTorch from PyPI's default")
    else:
        yield Finding("GPU", "none that PyTorch can use", "detection is much faster on an NVIDIA GPU with its driver")


def _providers() -> Iterator[Finding]:
    """Load a minimal model with each provider, because ONNX Runtime also lists those that cannot load."""
    import onnxruntime

    from reid.runtime import CPU, CUDA, TENSORRT, loads

    advice = {
        CUDA: "needs an NVIDIA GPU and onnxruntime-gpu[cuda,cudnn], without onnxruntime installed beside it",
        TENSORRT: "optional: pip install 'tensorrt-cu13>=10.13,<11', then set REIDTRACK_TENSORRT=1",
    }
    for provider in onnxruntime.get_available_providers():
        works = loads(provider)
        yield Finding(
            f"ONNX Runtime {provider.removesuffix('ExecutionProvider')}",
            "loads" if works else "listed, does not load",
            "" if works or provider == CPU else advice.get(provider, ""),
        )
    if importlib.util.find_spec("openvino") is None:
        yield Finding("OpenVINO", "not installed")


def _models() -> Iterator[Finding]:
    from reid.embed import EMBEDDERS, Embedder
    from tracker.detect import default_weights

    try:
        weights = default_weights()
        yield Finding("detector yolov8n", f"{weights} sha256 {sha256(weights)}")
    except ReidTrackError as error:
        yield Finding("detector yolov8n", "absent", str(error))
    for name in EMBEDDERS:
        try:
            embedder = Embedder(name, "cpu")
            found = f"{embedder.path} sha256 {sha256(embedder.path)}"
            yield Finding(f"embedder {name}", found)
        except ReidTrackError as error:
            yield Finding(f"embedder {name}", "absent", str(error))


def _codecs() -> Iterator[Finding]:
    import av

    wanted = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")
    have = [name for name in wanted if name in av.codecs_available]
    missing = [name for name in wanted if name not in have]
    yield Finding("decoders", ", ".join(have), f"absent: {', '.join(missing)}" if missing else "")
    encoder = "libx264" in av.codecs_available
    yield Finding("encoder H.264", "libx264" if encoder else "absent", "" if encoder else "--render needs it")


def _disk(name: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    advice = "" if free > 2 else "runs keep boxes and crops, and videos with --render; free some space"
    return Finding(f"disk, {name}", f"{free:.0f} GiB free at {folder}", advice)
