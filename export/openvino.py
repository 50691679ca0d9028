"""An OpenVINO IR: the graph in an ``.xml`` and its weights in the ``.bin`` beside it.

OpenVINO also runs the ONNX file as it is; its tools for Intel's devices want an IR.
"""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from export.placing import writing
from reid.errors import BadInputError, ModelError
from reid.graphs import import_openvino

_log = logging.getLogger(__name__)

Report = Callable[[str], None]
NAMESPACE = "reidtrack"


def write_openvino(
    onnx_path: Path,
    out: Path,
    report: Report = _log.info,
    precision: str = "fp32",
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Convert an ONNX file, its metadata included; they lie in the IR's ``rt_info`` under ``reidtrack``.

    Args:
        onnx_path: an embedder or its plain variant.
        out: the ``.xml`` to write; its ``.bin`` appears beside it. Both are replaced only by what passed.
        report: called with lines of progress.
        precision: ``fp16`` stores all weights in half precision; with others they stay as they are. What OpenVINO
            computes in is chosen when the file is loaded.
        check: called with the IR before it is put at ``out``; what it raises keeps the IR from there.

    Returns:
        ``out``.

    Raises:
        ModelError: OpenVINO is not installed, or cannot read the graph.
        BadInputError: ``out`` does not end in .xml or cannot be written.
    """
    if out.suffix != ".xml":
        raise BadInputError(f"{out}: an OpenVINO IR ends in .xml; its weights go to a .bin beside it")
    try:
        entries = {entry.key: entry.value for entry in onnx.load(onnx_path, load_external_data=False).metadata_props}
    except Exception as error:  # protobuf has types of its own
        raise ModelError(f"{onnx_path}: not an ONNX file that can be read ({type(error).__name__})") from None
    half = precision == "fp16"
    openvino = _imported(onnx_path, out, half)
    try:
        model = openvino.Core().read_model(onnx_path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{onnx_path}: OpenVINO cannot read it ({reason}); export it with another --opset") from None
    for key, value in entries.items():
        model.set_rt_info(value, [NAMESPACE, key.removeprefix(f"{NAMESPACE}.")])
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial.", dir=out.parent) as folder:
            made = Path(folder, out.name)
            openvino.save_model(model, made, compress_to_fp16=half)
            if check is not None:
                check(made)
            made.with_suffix(".bin").replace(out.with_suffix(".bin"))
            made.replace(out)
    report(f"{out}: {out.with_suffix('.bin').stat().st_size / 1e6:.1f} MB of weights beside it")
    return out


def read_metadata(path: Path) -> dict[str, str]:
    """What ``write_openvino`` kept of the ONNX file's metadata: keys such as ``reidtrack.size``.

    Args:
        path: the ``.xml``.

    Raises:
        ModelError: OpenVINO is not installed or cannot read the IR.
    """
    openvino = import_openvino(path)
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise ModelError(f"{path}: not an OpenVINO IR ({str(error).strip().splitlines()[-1]})") from None
    if not model.has_rt_info([NAMESPACE]):
        return {}
    entries = model.get_rt_info([NAMESPACE]).value
    return {f"{NAMESPACE}.{key}": str(getattr(value, "value", value)) for key, value in entries.items()}


def _imported(onnx_path: Path, out: Path, half: bool) -> Any:
    try:
        return import_openvino(onnx_path)
    except ModelError as error:
        command = f"ovc {onnx_path} --output_model {out} --compress_to_fp16={half}"
        raise ModelError(f"{error}; or where it is installed: {command}") from None
