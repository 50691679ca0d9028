"""A network of timm, with weights in a file, to import: pooled features, preprocessing as timm's configuration says.

timm is optional, and is asked for nothing that it would download.
"""

import difflib
import importlib
import logging
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.foreign_torch import eager_graph, is_torchscript, original_of, reason
from export.original import Original
from reid.errors import BadInputError, ModelError
from reid.foreign import Preprocessing

_log = logging.getLogger(__name__)

PREFIX = "timm:"
_REMEDY = "try another --size, or another network of timm"


def timm_options(name: str) -> dict[str, str]:
    """What timm's own configuration of a network says of its images, as ``reid.foreign.read_options`` takes it.

    Args:
        name: as in ``timm.list_models()``, with or without a tag.

    Raises:
        ModelError: timm is not installed.
        BadInputError: it has no such network.
    """
    timm = _import_timm(name)
    config = timm.data.resolve_data_config(pretrained_cfg=_configuration(timm, name))
    mean, std = (":".join(f"{255 * value:g}" for value in config[key]) for key in ("mean", "std"))
    _, height, width = config["input_size"]
    return {"size": f"{height}x{width}", "colour": "rgb", "mean": mean, "std": std}


def open_timm(name: str, weights: Path, preprocessing: Preprocessing) -> Original:
    """Build a network without its classifier, and load weights into it.

    Args:
        name: as for ``timm_options``.
        weights: a state dict, or a checkpoint of timm's or torchreid's kind that holds one, in PyTorch's format or as
            ``.safetensors``; a classifier's are left out.
        preprocessing: what it wants, and its size.

    Raises:
        ModelError: timm is not installed, cannot build it at that size, or the weights are none or another network's.
        BadInputError: timm has no such network.
    """
    timm, said = _import_timm(name), f"{PREFIX}{name}"
    config = _configuration(timm, name)
    _, *usual = config["input_size"]
    height, width = preprocessing.size or usual
    sized = {"img_size": (height, width)} if config.get("fixed_input_size") and [height, width] != usual else {}
    try:
        module = timm.create_model(name, pretrained=False, num_classes=0, **sized)
    except Exception as error:  # networks assert what sizes they need, each in its own words
        why = reason(error)
        raise ModelError(f"{said}: timm cannot build it for images of {height}x{width} ({why}); {_REMEDY}") from None
    _load(module, said, weights, _read(timm, weights), config.get("classifier") or ())
    source, whole = f"{said} with {weights.name}", replace(preprocessing, size=(height, width))
    return original_of(module.eval(), said, name, source, weights, whole, _REMEDY, eager_graph)


def check_timm(name: str, weights: Path | None) -> None:
    """Refuse what cannot be opened, before any work.

    Raises:
        ModelError: timm is not installed, or there are no such weights.
        BadInputError: timm has no such network, or no weights are named.
    """
    _configuration(_import_timm(name), name)
    if weights is None:
        raise BadInputError(f"{PREFIX}{name}: name the file of its weights with --weights; nothing is downloaded")
    if not weights.is_file():
        raise ModelError(f"{weights}: no such file of weights; check the path")
    if is_torchscript(weights):
        raise ModelError(f"{weights}: is TorchScript, which brings its network along; import it without {PREFIX}{name}")


def _import_timm(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what timm imports
            return importlib.import_module("timm")
    except ImportError:
        raise ModelError(f"{PREFIX}{name}: needs timm; pip install 'reidtrack[timm]'") from None


def _configuration(timm: Any, name: str) -> dict[str, Any]:
    """What timm says of a network; names beyond its list, which it may fetch, are refused."""
    known = timm.list_models()
    base, _, tag = name.partition(".")
    if base not in known:
        near = difflib.get_close_matches(base, known, 3, 0.5)
        meant = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise BadInputError(f"{PREFIX}{name}: timm {timm.__version__} has no such network; {meant}")
    try:
        config: dict[str, Any] = timm.get_pretrained_cfg(name).to_dict()
    except RuntimeError:  # for a tag that it does not know
        raise BadInputError(
            f"{PREFIX}{name}: timm {timm.__version__} knows no {tag!r} of {base}; leave .{tag} out"
        ) from None
    return config


def _read(timm: Any, weights: Path) -> Mapping[str, Any]:
    try:
        state = timm.models.load_state_dict(str(weights), weights_only=True)
    except Exception as error:  # whatever a file that is something else happens to hit
        _log.debug("%s", weights, exc_info=error)
        raise ModelError(
            f"{weights}: holds no state dict of plain tensors; save one: torch.save(model.state_dict(), 'FILE.pt')"
        ) from None
    found: Mapping[str, Any] = state
    return found


def _load(
    module: nn.Module, said: str, weights: Path, state: Mapping[str, Any], classifier: str | tuple[str, ...]
) -> None:
    """Load a state dict, all of it but a classifier's, into all of a module."""
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    wanted = module.state_dict()
    given = {
        key: value
        for key, value in state.items()
        if key in wanted or not key.startswith(tuple(f"{head}." for head in heads))
    }
    needed = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    extra = [key for key in given if key not in wanted]
    unlike = [key for key in wanted if key in given and getattr(given[key], "shape", None) != wanted[key].shape]
    if needed:
        problem = f"lacks {len(needed)} of its {len(wanted)} tensors, such as {needed[0]}"
    elif unlike:
        shapes = (tuple(getattr(given[unlike[0]], "shape", ())), tuple(wanted[unlike[0]].shape))
        problem = f"{unlike[0]} is {shapes[0]} where {shapes[1]} is needed"
    elif extra:
        problem = f"has {len(extra)} tensors beyond its own, such as {extra[0]}"
    else:
        with torch.no_grad():
            module.load_state_dict(given, strict=False)
        return
    raise ModelError(
        f"{weights}: does not fit {said}: {problem}; name the network of timm, and the --size, that it was trained as"
    )
