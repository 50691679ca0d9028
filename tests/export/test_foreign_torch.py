"""TorchScript made an embedder: equal to the module itself, or refused with the reason and the remedy."""

import re
import warnings
import zipfile

import numpy as np
import onnx
import pytest
import torch

import export.foreign_torch
from export.foreign import EXPORT_THERE, import_model
from export.foreign_torch import is_torchscript, open_torchscript
from reid.embed import Embedder
from reid.errors import ModelError
from reid.foreign import Preprocessing
from reid.graphs import open_graph
from reid.runtime import CPU, open_session
from tracker.cli import main

SIZE = (32, 16)
HOW = Preprocessing("bgr", (10, 20, 30), (2, 4, 8), SIZE)
OPTIONS = ["--colour", "bgr", "--mean", "10:20:30", "--std", "2:4:8"]


class Net(torch.nn.Module):
    """Anybody's network: convolution, norm, pooling, linear map; ``how`` says what it does at its end."""

    def __init__(self, how: str = ""):
        super().__init__()
        torch.manual_seed(0)
        self.how = how
        self.conv, self.norm, self.linear = torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 6)
        self.norm.running_mean.normal_(0, 0.2)
        self.norm.running_var.uniform_(0.5, 1.5)

    def features(self, images):
        return torch.relu(self.norm(self.conv(images)))

    def forward(self, images):
        return self.linear(self.features(images).mean((2, 3)))


class Switching(Net):
    """What only a script keeps: which way is taken depends on the images."""

    def forward(self, images):
        vectors = self.linear(self.features(images).mean((2, 3)))
        if images.size(2) > 8:
            vectors = vectors * vectors
        return vectors


class Normalising(Net):
    """As fast-reid's networks do: in place."""

    def forward(self, images):
        images.sub_(100.0).div_(50.0)
        return self.linear(self.features(images).mean((2, 3)))


class OneAtATime(Net):
    def forward(self, images):
        return self.linear(self.features(images).mean((2, 3)).view(1, 8))


class Mixing(Net):
    def forward(self, images):
        vectors = self.linear(self.features(images).mean((2, 3)))
        return vectors - vectors.mean(0)


class Two(Net):
    def forward(self, images):
        vectors = self.linear(self.features(images).mean((2, 3)))
        return vectors, vectors


class Maps(Net):
    def forward(self, images):
        return self.features(images)


class Nothing(Net):
    def forward(self, images):
        return self.linear(self.features(images).mean((2, 3))) * 0


class Flat(Net):
    """Takes images of one size only."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8 * 15 * 7, 6)

    def forward(self, images):
        return self.linear(self.features(images).flatten(1))


@pytest.fixture(autouse=True)
def _quiet():
    """PyTorch says of every call that makes or takes TorchScript that it is deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit")
        yield


def scripted(path, net=Net, change=lambda one: one):
    torch.jit.save(torch.jit.script(change(net().eval())), path)
    return path


def traced(path, net=Net, batch=2, training=False):
    images = torch.rand(batch, 3, *SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that are traced wrongly on purpose
        torch.jit.save(torch.jit.trace(net().train(training), images, check_trace=False), path)
    return path


def frozen(path):
    torch.jit.save(torch.jit.freeze(torch.jit.script(Net().eval())), path)
    return path


def images(count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, *SIZE)).astype(np.float32)


def of_the_graph(network, given):
    session = open_session(network.SerializeToString(), "cpu")
    return session.run(None, {session.get_inputs()[0].name: given})[0]


def of_the_module(net, given):
    with torch.inference_mode():
        return net.eval()(torch.tensor(given)).numpy()


def test_the_command_makes_an_embedder_that_equals_the_module(tmp_path, capsys):
    path, out = scripted(tmp_path / "some net.pt"), tmp_path / "mine.onnx"
    assert main(["import-model", str(path), "--size", "32x16", *OPTIONS, "--licence", "free", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    crops = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), np.uint8)
    ready = (crops[..., ::-1] - np.array(HOW.mean)) / np.array(HOW.std)
    expected = of_the_module(Net(), ready.transpose(0, 3, 1, 2).astype(np.float32))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    embedder = Embedder(out, "cpu")
    assert embedder(list(crops)) == pytest.approx(expected, abs=1e-5)
    card = embedder.card
    assert (card.backbone, card.size, card.batch, card.licence) == ("some_net", SIZE, 0, "free")
    assert card.parameters == sum(one.numel() for one in Net().parameters())
    said = {one.key: one.value for one in onnx.load(out).metadata_props}
    assert said["reidtrack.imported_from"] == f"some net.pt,{HOW}"


@pytest.mark.parametrize(
    ("make", "net"),
    [
        (scripted, Net),
        (traced, Net),
        (lambda path: frozen(path), Net),
        (lambda path: scripted(path, Switching), Switching),
        (lambda path: traced(path, Normalising), Normalising),
        (lambda path: traced(path, OneAtATime, 1), None),
        (lambda path: scripted(path, change=lambda one: one.double()), Net),
    ],
    ids=["scripted", "traced", "frozen", "branching", "normalising in place", "of one image", "in float64"],
)
def test_whatever_made_it_its_graph_gives_the_vectors_of_the_module(tmp_path, make, net):
    path = make(tmp_path / "net.pth")
    assert is_torchscript(path)
    original = open_torchscript(path, HOW)
    given = images()
    before = given.copy()
    vectors = original.run(given)
    assert np.array_equal(given, before)  # for some normalise their images in place
    assert np.array_equal(original.run(given), vectors)
    expected = of_the_module((net or Net)(), given)
    assert vectors == pytest.approx(expected, abs=1e-5)
    alone = [of_the_graph(original.network, one[None]) for one in given]
    assert np.concatenate(alone) == pytest.approx(expected, abs=1e-5)
    if net is not None:
        assert of_the_graph(original.network, given) == pytest.approx(expected, abs=1e-5)
    assert (original.dim, original.size) == (6, SIZE)
    assert original.parameters > 200


def test_one_that_was_traced_for_one_image_takes_any_number(tmp_path):
    path = traced(tmp_path / "net.pt", OneAtATime, 1)
    import_model(path, HOW, tmp_path / "a.onnx", runtimes=[CPU])
    embedder = Embedder(tmp_path / "a.onnx", "cpu")
    assert embedder.card.batch == 0
    crops = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), np.uint8)
    expected = of_the_module(Net(), HOW(list(crops), SIZE))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert embedder(list(crops)) == pytest.approx(expected, abs=1e-5)


def broken(path):
    """The code is there, what it computes with is not."""
    whole = scripted(path.with_name("whole.pt"))
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if "/data/" not in name:
                new.writestr(name, old.read(name))
    whole.unlink()
    return path


def cut_short(path):
    content = scripted(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


SAVE_AGAIN = r"save it again from the CPU: torch\.jit\.save\(torch\.jit\.trace"
MIXED = r"gives an image another vector when others are in the batch, as a network in training mode does; "
ONE_TENSOR = r"expected one tensor \(n, d\), a vector for each image; have the network's forward\(\) return that"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (broken, [], r"TorchScript that PyTorch \S+ cannot load \(.+\); " + SAVE_AGAIN),
        (
            cut_short,
            [],
            r"no file of weights that PyTorch can read, and no TorchScript; it may be broken: get it again",
        ),
        (lambda path: scripted(path, Mixing), [], MIXED + SAVE_AGAIN),
        (lambda path: traced(path, training=True), [], MIXED + SAVE_AGAIN),
        (lambda path: scripted(path, Two), [], r"gives a tuple; " + ONE_TENSOR),
        (lambda path: scripted(path, Maps), [], r"gives \(3, 8, 15, 7\) for 3 images; " + ONE_TENSOR),
        (lambda path: scripted(path, Nothing), [], r"a vector that is zero or not finite; check --mean and --std"),
        (
            lambda path: scripted(path, Flat),
            ["--size", "64x32"],
            r"fails on images of 64x32 \(.*(shapes|size).*\); give the --size that it was made for, or " + SAVE_AGAIN,
        ),
        (scripted, ["--size", ""], r"TorchScript does not say the size of its images; give --size, such as 256x128"),
        (
            scripted,
            ["--weights", "other.pt"],
            r"--weights: goes with timm:NAME; .*net\.pt brings its own, leave it out",
        ),
    ],
    ids=[
        "no data",
        "cut short",
        "vectors of the batch",
        "in training mode",
        "a tuple",
        "maps",
        "zeros",
        "another size",
        "no size",
        "weights beside it",
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line_and_nothing_is_left(tmp_path, capsys, make, options, message):
    path = make(tmp_path / "net.pt")
    options = {"--size": "32x16"} | dict([options] if options else [])
    words = [word for name, value in options.items() if value for word in (name, value)]
    assert main(["import-model", str(path), *OPTIONS, *words, "--out", str(tmp_path / "a.onnx")]) in (1, 2)
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert told.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["net.pt"]


def test_a_graph_that_is_not_the_module_does_not_come_through(tmp_path, monkeypatch):
    """Of another network, as after an exporter's fault."""
    right = export.foreign_torch._scripted_graph

    def wrong(module, *rest):
        for one in module.parameters():
            one.data.mul_(-1)
        made = right(module, *rest)
        for one in module.parameters():
            one.data.mul_(-1)
        return made

    monkeypatch.setattr(export.foreign_torch, "_scripted_graph", wrong)
    path = scripted(tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"its graph gives other vectors than it does itself; export it where"):
        import_model(path, HOW, tmp_path / "a.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["net.pt"]


FAST_REID = {"model": {"backbone.conv1.weight": torch.zeros(1), "heads.bottleneck.0.weight": torch.zeros(1)}}
TORCHREID = {"state_dict": {"module.conv1.conv.weight": torch.zeros(1), "module.classifier.weight": torch.zeros(1)}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", FAST_REID, r"of fast-reid.*'a\.pth'.*DefaultPredictor\(cfg\)\.model.*--colour rgb --mean 0 --std 1"),
        (
            "model.pth.tar-60",
            TORCHREID,
            r"weights without their network; .*torchreid\.models\.build_model\(NAME, 1, pretrained=False\) and "
            r"torchreid\.utils\.load_pretrained_weights\(model, 'model\.pth\.tar-60'\) before; of timm, .*timm:NAME",
        ),
        ("whole.pt", Net(), r"weights without their network; export it where its network is defined"),
        ("a.safetensors", b"anything", r"of timm, import timm:NAME with --weights .*a\.safetensors"),
    ],
)
def test_weights_without_their_network_are_refused_with_the_call_that_exports_it(
    tmp_path, capsys, name, content, message
):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    assert main(["import-model", str(path), "--like", "torchreid", "--out", str(tmp_path / "a.onnx")]) == 1
    told = capsys.readouterr().err
    assert re.search(message, told)
    assert told.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_the_call_that_the_messages_tell_exports_a_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's exporter warns of itself
        eval(EXPORT_THERE.partition(": ")[2], {"torch": torch, "model": Net(), "images": torch.zeros(2, 3, *SIZE)})
    given = images(5)
    found = open_graph(tmp_path / "FILE.onnx", "cpu").load(SIZE)(given)
    assert found == pytest.approx(of_the_module(Net(), given), abs=1e-5)
