import pytest
import torch

from reid.backbones import BACKBONES
from reid.errors import BadInputError, ModelError
from reid.model import EmbeddingModel, load_model, save_model

every = pytest.mark.parametrize("name", BACKBONES)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@every
def test_contract(name):
    backbone = BACKBONES[name]().eval()
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    maps = backbone(images)
    assert maps.shape == (2, backbone.out_channels, 4, 2)
    assert maps.dtype == torch.float32
    assert torch.isfinite(maps).all()
    maps.sum().backward()
    assert torch.isfinite(images.grad).all()
    with torch.inference_mode():  # at inference an image's features do not depend on its batch
        assert torch.allclose(backbone(images[:1]), maps[:1], atol=1e-4)
    assert backbone(torch.zeros(1, 3, 128, 64)).shape[2:] == (8, 4)


@every
def test_every_parameter_is_used(name):
    backbone = BACKBONES[name]().train()
    backbone(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(("width", "millions"), [("1_0", 2.2), ("0_75", 1.3), ("0_5", 0.6), ("0_25", 0.2)])
def test_osnet_has_the_papers_size(width, millions):
    # Table 3 of the paper counts the 512-d fully connected layer and its norm, whatever the width.
    backbone = BACKBONES[f"osnet_x{width}"]()
    head = torch.nn.Sequential(torch.nn.Linear(backbone.out_channels, 512), torch.nn.BatchNorm1d(512))
    assert round((parameters(backbone) + parameters(head)) / 1e6, 1) == millions


@pytest.mark.parametrize("width", ["1_0", "0_5", "0_25"])
def test_instance_norm_costs_next_to_nothing(width):
    plain, ibn = BACKBONES[f"osnet_x{width}"](), BACKBONES[f"osnet_ibn_x{width}"]()
    assert parameters(plain) < parameters(ibn) < parameters(plain) * 1.01


def test_model_gives_unit_vectors_from_crops_of_any_size():
    model = EmbeddingModel("osnet_x0_25", 16, size=(64, 32)).eval()
    with torch.inference_mode():
        for shape in ((1, 5, 3, 3), (3, 100, 41, 3)):
            vectors = model(torch.randint(0, 256, shape, dtype=torch.uint8))
            assert vectors.shape == (shape[0], 16)
            assert torch.allclose(vectors.norm(dim=1), torch.ones(shape[0]), atol=1e-5)


def test_an_unknown_backbone_is_bad_input():
    with pytest.raises(BadInputError, match="'resnet9' is unknown; choose one of osnet_x0_25"):
        EmbeddingModel("resnet9")


def test_a_model_comes_back_from_its_file(tmp_path):
    model = EmbeddingModel("osnet_ibn_x0_25", 16, identities=7, size=(64, 32)).eval()
    save_model(model, tmp_path / "last.pt", epoch=3)
    loaded = load_model(tmp_path / "last.pt")
    assert loaded.classifier is None
    assert not loaded.training
    crops = torch.randint(0, 256, (2, 64, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded(crops), model(crops))
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_file_that_is_no_checkpoint_is_one_clear_line(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    for name in ("text.pt", "other.pt"):
        with pytest.raises(ModelError, match=f"{name}: not a reidtrack checkpoint") as caught:
            load_model(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_model(tmp_path / "absent.pt")
