"""INT8: 8 bits where they keep the vectors, float32 where they do not.

Static quantisation in QDQ form by ONNX Runtime (``onnxruntime.quantization``): weights symmetric with a scale for each
output channel, activations with a scale for each tensor, whose range is the one that calibration crops give. (Clipping
that range at a percentile or by entropy was not measurably better once the layers below are in float32.) The first
layers of a small network lose nearly all that it loses: their channels differ so much in range that one scale does not
serve them. ``quantise`` finds such layers by quantising each one alone, and leaves them in float32.
"""

import logging
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QDQQuantizer, QuantType, TensorsData, create_calibrator

from export.gate.batches import gate_batches
from export.gate.types import LIMITS, Floats, Prepare, Reference, Report
from export.placing import writing
from export.precision import halved, whole
from export.tensors import has_weights, inner_nodes, network_input, node_outputs
from reid.errors import ModelError
from reid.images import Image, resize_crop
from reid.runtime import open_session

_log = logging.getLogger(__name__)

Doubles = npt.NDArray[np.float64]

MIN_COSINE = LIMITS["int8"].cosine
AIM = MIN_COSINE + 0.001  # other runtimes round otherwise, and have to pass too
MOST_FLOAT = 0.5  # of the layers with weights; with more of them in float32 nothing is gained

_ACTIVATIONS = ("Relu", "Clip")  # quantised together with what they follow
_HELD_OUT = 4  # one crop in so many is not calibrated on, but measured on
_WATCHED = 16  # crops on which every layer is tried alone
_BATCH = 16  # crops that go through the network at a time
_TELL_EVERY = 5.0  # seconds
_COLOURS = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255))


@dataclass(frozen=True)
class _Trial:
    """Crops of one size as the graph takes them, and their (n, d) vectors in float32."""

    batch: npt.NDArray[Any]
    expected: Floats


def quantise(
    graph: onnx.ModelProto,
    crops: Sequence[Image],
    reference: Reference,
    report: Report = _log.info,
    prepare: Prepare = np.stack,
    symmetric: bool = False,
) -> onnx.ModelProto:
    """Quantise a network to 8 bits, but for the layers that would break it.

    Preprocessing and what brings the vectors to unit norm stay in float32. It is measured on a quarter of the crops,
    which is not calibrated on, and on those of the gate. Where a vector's cosine similarity to the reference's is below
    ``AIM``, layers return to float32 one at a time, the one first that costs the failing crops most, until all pass.

    Args:
        graph: a convolutional embedder of one input, computing in float32; left as it is.
        crops: at least 8 RGB crops (h, w, 3) uint8 of any sizes, such as ``export.crops.read_crops`` gives; better 256.
        reference: what it must equal.
        report: called with lines of progress: which layers stay in float32, and what each costs.
        prepare: RGB crops of one size to what the graph takes.
        symmetric: activations as signed integers around 0, the only ones that TensorRT takes, and biases in float32.
            CPUs are faster and more precise without.

    Returns:
        A graph of the same input, output and metadata.

    Raises:
        ModelError: with ``MOST_FLOAT`` of its layers in float32 a crop still fails.
        ValueError: there are fewer than 8 crops, or the graph has no convolution.
    """
    if len(crops) < 2 * _HELD_OUT:
        raise ValueError(f"crops: expected at least {2 * _HELD_OUT}, got {len(crops)}")
    named = _named(graph)
    size = _network_size(named, prepare(crops[:1]))
    resized = [resize_crop(crop, size) for crop in crops]
    held_out = resized[::_HELD_OUT]
    calibration = [crop for i, crop in enumerate(resized) if i % _HELD_OUT]
    report(f"int8: calibrating on {len(calibration)} crops, measuring on {len(held_out)} others")
    ranges = _ranges(named, map(prepare, _batches([*calibration, *_extremes(size)])))
    network = _Network(named, ranges, symmetric)
    alike = [held_out, *(crops for _, crops in gate_batches(size))]
    trials = [_Trial(prepare(batch), reference(batch)) for crops in alike for batch in _batches(crops)]
    quantised = _with_fallback(network, trials, report)
    onnx.helper.set_model_props(quantised, {one.key: one.value for one in graph.metadata_props})
    return halved(quantised)


def _extremes(size: tuple[int, int]) -> list[Image]:
    """What a camera gives that fails: one colour, or noise. Ranges without it would cut off what such crops excite."""
    noise = np.random.default_rng(1).integers(0, 256, (2, *size, 3), np.uint8)
    return [*(np.full((*size, 3), rgb, np.uint8) for rgb in _COLOURS), *noise]


class _Network:
    """A graph, its layers that may be quantised, and what calibration found.

    Attributes:
        layers: by node name, the name for people: of its weights where it has some.
        weighted: node names of those with weights.
    """

    def __init__(self, graph: onnx.ModelProto, ranges: TensorsData, symmetric: bool) -> None:
        self._graph, self._ranges, self._symmetric = graph, ranges, symmetric
        stored = {one.name for one in graph.graph.initializer}
        inner = inner_nodes(graph, stored)
        kept = [node for node in inner if node.op_type not in _ACTIVATIONS]
        self._activations = {node.name: node.input[0] for node in inner if node.op_type in _ACTIVATIONS}
        self._outputs = {node.name: node.output[0] for node in kept}
        self.weighted = [node.name for node in kept if has_weights(node, stored)]
        named = {node.name: node.input[1].removesuffix(".weight") for node in kept if node.name in self.weighted}
        self.layers = {node.name: named.get(node.name, node.name) for node in kept}

    def tried(self, in_float: Collection[str], trials: Sequence[_Trial]) -> tuple[onnx.ModelProto, Doubles]:
        """The graph with all but these layers in 8 bits, and what ``_cosines`` finds."""
        made = self.quantised([name for name in self.layers if name not in in_float])
        return made, _cosines(made, trials)

    def quantised(self, layers: Collection[str]) -> onnx.ModelProto:
        """The graph with these layers, by node name, in 8 bits."""
        given = {self._outputs[name] for name in layers}
        copied = onnx.ModelProto()
        copied.CopyFrom(self._graph)
        quantizer = QDQQuantizer(
            copied,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if self._symmetric else QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[*layers, *(name for name, source in self._activations.items() if source in given)],
            nodes_to_exclude=[],
            op_types_to_quantize=_op_types(self._graph),
            extra_options={
                "ActivationSymmetric": self._symmetric,
                "QuantizeBias": not self._symmetric,
                "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],  # the vectors themselves
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        made: onnx.ModelProto = quantizer.model.model
        return made


def _with_fallback(network: _Network, trials: Sequence[_Trial], report: Report) -> onnx.ModelProto:
    """Return layers to float32 until every crop passes, then quantise those of them again that need not have been."""
    quantised, cosines = network.tried([], trials)
    report(f"int8: all {len(network.layers)} layers in 8 bits: lowest cosine {cosines.min():.4f}")
    in_float: list[str] = []
    alone: dict[str, float] = {}
    watched = np.zeros(len(cosines), np.bool_)
    while not cosines.min() >= AIM:  # written so that NaN fails
        failing = ~(cosines >= AIM)
        if not failing[watched].any():
            watched = _worst(cosines)
            report(f"int8: {AIM:g} is aimed at; looking for the layers that cost most")
            costs = _alone(network, _chosen(trials, watched), report)
        left = [name for name in network.layers if name not in in_float]
        worst = max(left, key=lambda name: float(costs[name][failing[watched]].sum()))
        in_float.append(worst)
        _refuse_mostly_float(network, in_float, float(cosines.min()))
        alone[worst] = 1 - float(costs[worst].max())
        quantised, cosines = network.tried(in_float, trials)
        report(f"int8: {network.layers[worst]} in float32: lowest cosine {cosines.min():.4f}")
    for name in in_float[-2::-1]:  # without the last one it had failed
        fewer = [one for one in in_float if one != name]
        again, cosines = network.tried(fewer, trials)
        if cosines.min() >= AIM:
            quantised, in_float = again, fewer
    if in_float:
        report(_told(network, alone, in_float))
    return quantised


def _told(network: _Network, alone: Mapping[str, float], in_float: Sequence[str]) -> str:
    why = ", ".join(f"{network.layers[name]} ({alone[name]:.4f})" for name in in_float)
    share = f"{len(in_float)} of {len(network.layers)}"
    return f"int8: {share} layers stay in float32 (lowest cosine with nothing but that layer in 8 bits): {why}"


def _refuse_mostly_float(network: _Network, in_float: Sequence[str], cosine: float) -> None:
    if sum(name in network.weighted for name in in_float) > MOST_FLOAT * len(network.weighted):
        raise ModelError(
            f"int8: with {len(in_float) - 1} of {len(network.layers)} layers in float32 the lowest cosine to the "
            f"float32 network is {cosine:.4f} where {AIM:g} is aimed at, and the next is {network.layers[in_float[-1]]}"
            "; calibrate on more crops of your own cameras, or export with --precision fp16"
        )


def _alone(network: _Network, trials: Sequence[_Trial], report: Report) -> dict[str, Doubles]:
    """By layer, (crops,): what it costs each crop, as 1 - cosine, where nothing else is quantised."""
    costs: dict[str, Doubles] = {}
    began = told = time.monotonic()
    for done, name in enumerate(network.layers, 1):
        costs[name] = np.nan_to_num(1 - _cosines(network.quantised([name]), trials), nan=np.inf)
        now = time.monotonic()
        if now - told >= _TELL_EVERY:
            told, rate = now, done / (now - began)
            left = (len(network.layers) - done) / rate
            report(f"int8: {done} of {len(network.layers)} layers, {rate:.1f} a second, {left:.0f} s left")
    return costs


def _worst(cosines: Doubles) -> npt.NDArray[np.bool_]:
    """(crops,) the ones furthest off, as many as are worth looking at."""
    found = np.zeros(len(cosines), np.bool_)
    found[np.argsort(np.nan_to_num(cosines, nan=-np.inf))[:_WATCHED]] = True
    return found


def _chosen(trials: Sequence[_Trial], which: npt.NDArray[np.bool_]) -> list[_Trial]:
    ends = np.cumsum([len(trial.expected) for trial in trials])
    parts = np.split(which, ends[:-1])
    return [_Trial(t.batch[part], t.expected[part]) for t, part in zip(trials, parts, strict=True) if part.any()]


def _cosines(graph: onnx.ModelProto, trials: Sequence[_Trial]) -> Doubles:
    """(crops,) as the gate measures it, 1 - |a - b|^2 / 2, NaN where a vector is not finite."""
    session = open_session(graph.SerializeToString(), "cpu")
    (given,) = session.get_inputs()
    parts = []
    for trial in trials:
        difference = session.run(None, {given.name: trial.batch})[0].astype(np.float64) - trial.expected
        parts.append(1 - np.square(difference).sum(1) / 2)
    return np.concatenate(parts)


def _ranges(graph: onnx.ModelProto, batches: Iterable[npt.NDArray[Any]]) -> TensorsData:
    """Lowest and highest value of every tensor that may be quantised."""
    (given,) = graph.graph.input
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        with writing(path):
            onnx.save(graph, path)
        observed = str(path.with_name("observed.onnx"))
        calibrator = create_calibrator(path, _op_types(graph), augmented_model_path=observed)
        for batch in batches:  # one at a time: the library keeps what it was given until it is done
            calibrator.collect_data(_Reader([{given.name: batch}]))
        found: TensorsData = calibrator.compute_data()
        del calibrator  # Windows does not remove a file that is open
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    def __init__(self, inputs: Iterable[dict[str, Any]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def _batches(crops: Sequence[Image]) -> list[Sequence[Image]]:
    return [crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH)]


def _op_types(graph: onnx.ModelProto) -> list[str]:
    return sorted({node.op_type for node in graph.graph.node})


def _named(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with float32 weights, in which every node has a name."""
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    whole(copied)
    for i, node in enumerate(copied.graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
    return copied


def _network_size(graph: onnx.ModelProto, batch: npt.NDArray[Any]) -> tuple[int, int]:
    """(height, width) of the images that enter the network, as it is seen on a batch."""
    name = network_input(graph)
    images = batch if name == graph.graph.input[0].name else node_outputs(graph, batch)[name]
    return images.shape[2], images.shape[3]
