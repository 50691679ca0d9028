"""Files that hold weights without their network: what to do instead of importing them.

The calls are those of the model zoos' own documentation: torchreid's user guide, fast-reid's ``tools/deploy``.
"""

import warnings
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import torch

from reid.errors import ModelError

_SUFFIXES = {".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors"}
_NESTED = ("state_dict", "model", "net")  # where checkpoints keep them


def is_weights(path: Path) -> bool:
    """Whether a file is called as weights are, such as ``last.pth`` or torchreid's ``model.pth.tar-60``."""
    return path.suffix != ".onnx" and not _SUFFIXES.isdisjoint(path.suffixes)


def refuse_weights(path: Path, export_there: str) -> NoReturn:
    """Refuse a file of weights.

    Args:
        path: the file.
        export_there: the call that exports a network.

    Raises:
        ModelError: always, with what makes a file of it that can be imported.
    """
    names = () if path.suffix == ".safetensors" else _names(path)
    if names is None:
        raise ModelError(
            f"{path}: is no file of weights that PyTorch can read, and no TorchScript; it may be broken: get it again, "
            f"or {export_there}, and import that"
        )
    if any(name.startswith("backbone.") for name in names) and any(name.startswith("heads.") for name in names):
        raise ModelError(
            f"{path}: weights of fast-reid without their network; there, cfg.MODEL.WEIGHTS = {path.name!r} and model = "
            f"fastreid.engine.DefaultPredictor(cfg).model, then {export_there}, and import that with --colour rgb "
            "--mean 0 --std 1, for it normalises its images itself"
        )
    raise ModelError(
        f"{path}: weights without their network; {export_there}, and import that; of torchreid, model = "
        "torchreid.models.build_model(NAME, 1, pretrained=False) and torchreid.utils.load_pretrained_weights(model, "
        f"{path.name!r}) before; of timm, import timm:NAME with --weights {path}"
    )


def _names(path: Path) -> tuple[str, ...] | None:
    """Names of the tensors in a checkpoint, without what DataParallel puts before them; None where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # objects of its maker's, which only its maker's code reads, or bytes that are something else
        return () if zipfile.is_zipfile(path) or _is_pickle(path) else None
    inner = next((content[key] for key in _NESTED if isinstance(content, dict) and key in content), content)
    return tuple(str(key).removeprefix("module.") for key in inner) if isinstance(inner, dict) else ()


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"
