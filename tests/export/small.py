"""A network small enough that a test can export it, and what tests of the gate make of it."""

import copy
import importlib.util

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export.gate import Candidate
from export.gate.candidates import in_batches, session_run, stacked
from reid.backbones import BACKBONES
from reid.model import EmbeddingModel
from reid.runtime import open_session

SIZE = (32, 16)

# looked for, not imported: it is imported by reid.graphs.import_openvino, which keeps it from calling home
HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="the optional openvino is not installed")


class Small(nn.Module):
    """Two convolutions with norms."""

    out_channels = 8

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, images):
        return torch.relu(self.second(torch.relu(self.norm(self.first(images)))))


def small_network(seed=0, dim=12):
    """Untrained, its norms moved from where they start: folding them must show if it is wrong."""
    BACKBONES.setdefault("small", Small)  # other tests that iterate the backbones have been collected by now
    torch.manual_seed(seed)
    model = EmbeddingModel("small", dim, identities=5, size=SIZE)
    with torch.no_grad():
        for norm in (model.backbone.norm, model.neck):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 1.5)
            norm.weight.uniform_(0.5, 1.5)
    return model.eval()


def reference_of(model):
    def run(batch):
        with torch.inference_mode():
            return model(torch.from_numpy(batch)).numpy()

    return in_batches(run, stacked)


def candidate_of(graph, path, prepare=np.stack):
    """A graph as a file, on ONNX Runtime's CPU alone."""
    onnx.save(graph, path)
    return Candidate(path, {"CPU": in_batches(session_run(open_session(path, "cpu")), prepare)}, prepare)


def changed(graph):
    return copy.deepcopy(graph)


def insert_after(graph, tensor, *nodes):
    """Put nodes behind a tensor: the first takes ``{tensor}``, what took the tensor takes the last one's output."""
    graph = changed(graph)
    for node in graph.graph.node:
        node.input[:] = [nodes[-1].output[0] if name == tensor else name for name in node.input]
    at = next(i for i, node in enumerate(graph.graph.node) if tensor in node.output) + 1
    for offset, node in enumerate(nodes):
        graph.graph.node.insert(at + offset, node)
    return graph


def constant(graph, name, values):
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
