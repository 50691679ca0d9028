"""A network of timm with weights in a file made an embedder; nothing is downloaded, and what does not fit is told."""

import re
import socket
import sys
import warnings

import numpy as np
import pytest
import torch

from export.foreign_timm import open_timm, timm_options
from reid.embed import Embedder
from reid.foreign import Preprocessing, read_options
from reid.runtime import CPU, open_session
from tracker.cli import main

timm = pytest.importorskip("timm", reason="the optional timm is not installed")
SIZE = (64, 32)
NAME, SEEING = "test_resnet", "test_vit"  # timm's own small ones
HOW = Preprocessing("rgb", (127.5,) * 3, (127.5,) * 3, SIZE)


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    def refuse(*given):
        raise AssertionError(f"connects to {given[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def network(name=NAME, seed=0, **options):
    torch.manual_seed(seed)
    made = timm.create_model(name, **{"num_classes": 0} | options)
    for one in made.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.running_mean.normal_(0, 0.2)
            one.running_var.uniform_(0.5, 1.5)
    return made.eval()


@pytest.fixture
def weights(tmp_path):
    """A file that holds the network's, and its classifier's of 7 people, as a training leaves it."""
    path = tmp_path / "last.pth"
    torch.save({"epoch": 3, "state_dict": trained()}, path)
    return path


def trained():
    state = network().state_dict() | {"fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)}
    return {f"module.{key}": value for key, value in state.items()}


def pooled(net, crops):
    """What the network gives for crops of its size, by hand."""
    ready = (np.stack(crops).astype(np.float32) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        return net(torch.from_numpy(ready).permute(0, 3, 1, 2)).numpy()


def crops(count=5, size=SIZE):
    return list(np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8))


def test_the_command_makes_an_embedder_that_equals_timms_network(tmp_path, weights, capsys):
    out = tmp_path / "mine.onnx"
    words = ["--weights", str(weights), "--size", "64x32", "--trained-on", "seven people", "--runtimes", CPU]
    assert main(["import-model", f"timm:{NAME}", *words, "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert f"timm:{NAME}: takes images as {HOW}" in told.err
    expected = pooled(network(), crops())
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    embedder = Embedder(out, "cpu")
    assert embedder(crops()) == pytest.approx(expected, abs=1e-5)
    card = embedder.card
    assert (card.backbone, card.size, card.training_data, card.batch) == (NAME, SIZE, "seven people", 0)
    assert card.parameters == sum(one.numel() for one in network().parameters())


def test_preprocessing_is_timms_own_unless_declared():
    half = "127.5:127.5:127.5"
    assert timm_options(NAME) == {"size": "160x160", "colour": "rgb", "mean": half, "std": half}
    own = timm_options("resnet18.a1_in1k")
    assert (own["mean"], own["std"]) == ("123.675:116.28:103.53", "58.395:57.12:57.375")
    assert read_options("timm:resnet18", own).size == (224, 224)


def test_a_network_of_fixed_size_is_built_at_the_size_asked_for(tmp_path):
    import safetensors.torch

    net = network(SEEING, img_size=SIZE)
    safetensors.torch.save_file(net.state_dict(), tmp_path / "a.safetensors")
    original = open_timm(SEEING, tmp_path / "a.safetensors", HOW)
    given = original.noise(3)
    with torch.inference_mode():
        expected = net(torch.from_numpy(given)).numpy()
    assert original.run(given) == pytest.approx(expected, abs=1e-5)
    session = open_session(original.network.SerializeToString(), "cpu")
    assert session.run(None, {"images": given})[0] == pytest.approx(expected, abs=1e-4)
    assert (original.dim, original.size) == (64, SIZE)


def changed(path, change, name=NAME):
    """The file with another state dict."""
    state = network(name).state_dict()
    change(state)
    torch.save(state, path)


def extra(state):
    state["bottleneck.weight"] = torch.zeros(3)


def halved(state):
    state["conv1.0.weight"] = state["conv1.0.weight"][:1]


FIT = r"last\.pth: does not fit timm:test_resnet: {}; name the network of timm, and the --size, that it was trained as"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.pop("conv1.0.weight"), r"lacks 1 of its \d+ tensors, such as conv1\.0\.weight"),
        (lambda state: state.clear(), r"lacks \d+ of its \d+ tensors, such as conv1\.0\.weight"),
        (extra, r"has 1 tensors beyond its own, such as bottleneck\.weight"),
        (halved, r"conv1\.0\.weight is \(1, .*\) where \(\d+, .*\) is needed"),
    ],
    ids=["one missing", "all missing", "one too many", "another shape"],
)
def test_weights_that_do_not_fit_are_told(tmp_path, capsys, change, problem):
    changed(tmp_path / "last.pth", change)
    words = ["--weights", str(tmp_path / "last.pth"), "--out", str(tmp_path / "a.onnx")]
    assert main(["import-model", f"timm:{NAME}", *words]) == 1
    told = capsys.readouterr().err
    assert re.search(FIT.format(problem), told)
    assert told.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["last.pth"]


def write_seeing(path):
    torch.save(network(SEEING, img_size=(60, 30)).state_dict(), path)


def write_text(path):
    path.write_text("nothing")


def write_script(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)


def write_module(path):
    torch.save(torch.nn.Linear(2, 2), path)


@pytest.mark.parametrize(
    ("model", "write", "words", "message"),
    [
        ("timm:resnet_18", None, [], r"timm \S+ has no such network; did you mean .*resnet18"),
        ("timm:qqqq", None, [], r"has no such network; see timm\.list_models\(\)"),
        ("timm:resnet18.nobody", None, [], r"knows no 'nobody' of resnet18; leave \.nobody out"),
        ("timm:hf-hub:timm/resnet18.a1_in1k", None, [], r"has no such network"),
        (f"timm:{NAME}", None, [], r"name the file of its weights with --weights; nothing is downloaded"),
        (f"timm:{NAME}", None, ["--weights", "absent.pth"], r"absent\.pth: no such file of weights; check the path"),
        (f"timm:{NAME}", write_text, [], r"holds no state dict of plain tensors; save one: torch\.save\("),
        (f"timm:{NAME}", write_module, [], r"holds no state dict of plain tensors; save one: torch\.save\("),
        (f"timm:{NAME}", write_script, [], r"is TorchScript, which brings its network along; import it without timm:"),
        (
            "timm:xcit_nano_12_p16_224",
            write_text,
            ["--size", "60x30"],
            r"cannot build it for images of 60x30 \(.+\); try",
        ),
        (
            f"timm:{SEEING}",
            write_seeing,
            ["--size", "60x30"],
            r"fails on images of 60x30 \(.+\); give the --size .*try",
        ),
        (f"timm:{NAME}", write_text, ["--out", "{weights}"], r"is what it would be made of|ends in \.onnx"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(tmp_path, capsys, model, write, words, message):
    weights = tmp_path / "a.pth"
    if write is not None:
        write(weights)
        words = ["--weights", str(weights), *words]
    words = ["--out", str(tmp_path / "a.onnx"), *(word.format(weights=weights) for word in words)]
    assert main(["import-model", model, *words]) in (1, 2)
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert told.count("\n") == 1
    assert not (tmp_path / "a.onnx").exists()


def test_weights_of_another_size_name_the_size(tmp_path, capsys):
    changed(tmp_path / "last.pth", lambda state: None, SEEING)
    words = ["--weights", str(tmp_path / "last.pth"), "--size", "64x32", "--out", str(tmp_path / "a.onnx")]
    assert main(["import-model", f"timm:{SEEING}", *words]) == 1
    told = capsys.readouterr().err
    assert re.search(r"pos_embed is \(1, \d+, 64\) where \(1, \d+, 64\) is needed; name the network .*--size", told)


def test_without_timm_the_remedy_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert main(["import-model", f"timm:{NAME}", "--weights", "a.pth", "--out", str(tmp_path / "a.onnx")]) == 1
    assert capsys.readouterr().err == f"error: timm:{NAME}: needs timm; pip install 'reidtrack[timm]'\n"
