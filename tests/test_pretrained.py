"""Weights from elsewhere: which files fit, what they make of a backbone, and what a machine without a network says."""

import email.message
import io
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision

from reid.backbones import BACKBONES
from reid.errors import BadInputError, ModelError
from reid.model import EmbeddingModel, save_model
from reid.pretrained import IMAGENET_BACKBONES, imagenet, load_weights

SMALL = "osnet_ain_x0_25"


def shaken(network):
    """The network with affine weights and statistics in 0.5..1.5; freshly made ones are all 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        if value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return network


def same(one, two):
    one, two = ({k: v for k, v in state.items() if not k.endswith("tracked")} for state in (one, two))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def trained():
    return shaken(BACKBONES[SMALL]()).state_dict()


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


WRAPPINGS = {
    "bare": lambda state: state,
    "without counters": lambda state: {name: value for name, value in state.items() if not name.endswith("tracked")},
    "with a classifier": lambda state: state | {"fc.weight": torch.ones(9, 128), "fc.bias": torch.ones(9)},
    "other names": lambda state: {f"{n}.{name.rpartition('.')[2]}": v for n, (name, v) in enumerate(state.items())},
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "parallel": lambda state: prefixed("module.", state),
    "backbone of a model": lambda state: {"model": {"mean": torch.ones(3)} | prefixed("backbone.", state)},
    "all of these": lambda state: {"state_dict": prefixed("module.", {"mean": 0} | prefixed("backbone.", state))},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_backbone_starts_from_weights_however_they_are_wrapped(trained, tmp_path, wrap):
    torch.save(wrap(trained), tmp_path / "weights.pt")
    backbone = BACKBONES[SMALL]()
    load_weights(backbone, tmp_path / "weights.pt")
    assert same(backbone.state_dict(), trained)


def test_half_precision_becomes_the_backbones(trained, tmp_path):
    torch.save({name: value.half() for name, value in trained.items()}, tmp_path / "weights.pt")
    backbone = BACKBONES[SMALL]()
    load_weights(backbone, tmp_path / "weights.pt")
    assert same(backbone.state_dict(), {name: value.half().float() for name, value in trained.items()})


def test_a_backbone_starts_from_another_training_s_checkpoint(tmp_path):
    model = EmbeddingModel(SMALL, 16, identities=5)
    shaken(model.backbone)
    save_model(model, tmp_path / "last.pt", epoch=3)
    backbone = BACKBONES[SMALL]()
    load_weights(backbone, tmp_path / "last.pt")
    assert same(backbone.state_dict(), model.backbone.state_dict())


def unstrided(name):
    """torchvision's own network with its last stride at 1, and its layer before the pooling."""
    if name == "resnet50":
        network = torchvision.models.resnet50()
        network.layer4[0].conv2.stride = network.layer4[0].downsample[0].stride = (1, 1)
        return network, network.layer4
    if name == "googlenet":
        network = torchvision.models.googlenet(aux_logits=True, init_weights=True)  # published with them
        network.maxpool4 = torch.nn.MaxPool2d(3, 1, padding=1)
        return network, network.inception5b
    network = torchvision.models.mobilenet_v2()
    network.features[14].conv[1][0].stride = (1, 1)
    return network, network.features[11 if name == "mobilenet_v2_short" else 17]


@pytest.mark.parametrize("name", IMAGENET_BACKBONES)
def test_torchvisions_files_give_torchvisions_features(name, tmp_path):
    network, last = unstrided(name)
    shaken(network).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    backbone = BACKBONES[name]().eval()
    load_weights(backbone, tmp_path / "weights.pth")
    (tmp_path / "weights.pth").unlink()

    seen = []
    last.register_forward_hook(lambda layer, given, made: seen.append(made))
    images = torch.randn(1, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        network(images)
        made = backbone(images)
    assert made.shape == (1, backbone.out_channels, 4, 2)
    assert made.std() > 0
    assert torch.equal(made, seen[0])


def refused(path):
    with pytest.raises(ModelError) as caught:
        load_weights(BACKBONES[SMALL](), path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_no_file(tmp_path):
    assert "no such weights" in refused(tmp_path / "weights.pt")
    assert "no such weights" in refused(tmp_path)


@pytest.mark.parametrize(
    "contents", [b"hello", b"", [torch.ones(3)], 7, {"a": 1}, {"state_dict": {}}], ids=lambda value: repr(value)[:20]
)
def test_a_file_without_weights(tmp_path, contents):
    path = tmp_path / "weights.pt"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    else:
        torch.save(contents, path)
    message = refused(path)
    assert "not a state dict" in message or "holds no weights" in message


def test_weights_of_another_architecture_leave_the_backbone_alone(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(BACKBONES["osnet_x0_25"]().state_dict(), path)
    backbone = BACKBONES[SMALL]()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(ModelError, match=r"weights.pt: \d+ of \d+ weights do not fit the backbone, first stages"):
        load_weights(backbone, path)
    assert same(before, backbone.state_dict())


def test_weights_that_are_cut_short(trained, tmp_path):
    torch.save(dict(list(trained.items())[:-2]), tmp_path / "weights.pt")  # the last variance and its counter
    assert "weights.pt: 1 of " in refused(tmp_path / "weights.pt")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize("name", IMAGENET_BACKBONES)
def test_imagenet_weights_are_fetched_once(monkeypatch, cache, name):
    asked = []

    def download(url, path, hash_prefix):
        asked.append((url, hash_prefix))
        Path(path).touch()

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    path = imagenet(name)
    assert path == imagenet(name)
    assert list(cache.iterdir()) == [path]
    ((url, digest),) = asked
    published = IMAGENET_BACKBONES[name]
    assert url == f"https://download.pytorch.org/models/{published}-{digest}.pth"
    assert url == torchvision.models.get_model_weights(published).IMAGENET1K_V1.url
    assert len(digest) == 8


def test_offline_the_remedy_is_a_local_file(monkeypatch, cache):
    def urlopen(request):
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "urlopen", urlopen)
    with pytest.raises(ModelError) as caught:
        imagenet("resnet50")
    assert str(caught.value) == (
        "https://download.pytorch.org/models/resnet50-0676ba61.pth could not be fetched "
        "(Temporary failure in name resolution); give a local file: --pretrained FILE"
    )
    assert list(cache.iterdir()) == []


def test_a_damaged_download_is_refused_and_not_kept(monkeypatch, cache):
    class Answer(io.BytesIO):
        def info(self):
            return email.message.Message()

    monkeypatch.setattr(torch.hub, "urlopen", lambda request: Answer(b"<html>log in first</html>"))
    with pytest.raises(ModelError, match=r"could not be fetched \(invalid hash value"):
        imagenet("googlenet")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", sorted(BACKBONES.keys() - set(IMAGENET_BACKBONES)))
def test_backbones_without_published_weights(name):
    with pytest.raises(
        BadInputError, match=rf"{name}, only for mobilenet_v2, mobilenet_v2_short, resnet50, googlenet; give a file"
    ):
        imagenet(name)


def test_only_backbones_have_published_weights():
    assert set(IMAGENET_BACKBONES) <= BACKBONES.keys()
