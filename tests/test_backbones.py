import pytest
import torch
import torchvision
from torch import nn

from reid.backbones import BACKBONES
from reid.backbones.osnet import OmniScaleBlock
from reid.backbones.resnet import InstanceBatchNorm
from reid.errors import BadInputError, ModelError
from reid.model import EmbeddingModel, load_model, save_model

every = pytest.mark.parametrize("name", BACKBONES)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def outline(name):
    """The backbone without numbers in it, which is quick to build."""
    with torch.device("meta"):
        return BACKBONES[name]()


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
        assert torch.allclose(backbone(images[:1]), maps[:1], rtol=1e-4, atol=1e-5 * float(maps.abs().max()))
    assert backbone(torch.zeros(1, 3, 128, 64)).shape[2:] == (8, 4)


@every
def test_every_parameter_is_used(name):
    backbone = BACKBONES[name]().train()
    backbone(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(("width", "millions"), [("1_0", 2.2), ("0_75", 1.3), ("0_5", 0.6), ("0_25", 0.2)])
def test_osnet_has_the_papers_size(width, millions):
    # Table 3 of the paper counts the 512-d fully connected layer and its norm, whatever the width.
    backbone = outline(f"osnet_x{width}")
    head = torch.nn.Sequential(torch.nn.Linear(backbone.out_channels, 512), torch.nn.BatchNorm1d(512))
    assert round((parameters(backbone) + parameters(head)) / 1e6, 1) == millions


@pytest.mark.parametrize("width", ["1_0", "0_5", "0_25"])
def test_osnets_instance_norm_costs_next_to_nothing(width):
    plain, ibn, ain = (outline(f"osnet_{variant}x{width}") for variant in ("", "ibn_", "ain_"))
    assert parameters(plain) < parameters(ibn) < parameters(plain) * 1.01
    assert parameters(ain) == parameters(plain)  # each instance norm takes the place of a batch norm


def test_osnet_ain_is_the_searched_architecture():
    # As published: the stem, both blocks of the first stage, the second of the second, the first of the third.
    norms = [n for n, m in outline("osnet_ain_x0_25").named_modules() if isinstance(m, nn.InstanceNorm2d)]
    assert norms == ["stem.1", "stages.0.0.norm", "stages.0.1.norm", "stages.3.1.norm", "stages.6.0.norm"]


@pytest.mark.parametrize("variant", ["residual", "sum"])
def test_instance_norm_is_of_the_residual_or_of_the_sum(variant):
    block = OmniScaleBlock(16, 16, variant).eval()
    nn.init.zeros_(block.norm.weight)  # whatever is normalised becomes the bias
    nn.init.constant_(block.norm.bias, 2.0)
    x = torch.rand(1, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    made = block(x)
    assert torch.equal(made, x + 2 if variant == "residual" else torch.full_like(x, 2))


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def test_inception_v2_has_the_published_size():
    # 11,295,240 with a classifier of 1000 and, as in Caffe, a bias for each channel of each convolution.
    backbone = outline("inception_v2")
    biases = sum(conv.out_channels for conv in convolutions(backbone))
    classifier = 1024 * 1000 + 1000
    assert parameters(backbone) == 10_260_224
    assert parameters(backbone) + biases + classifier == 11_295_240


def test_inception_v2_widens_from_block_to_block_as_published():
    widths = {name: block.out_channels for name, block in outline("inception_v2").blocks.named_children()}
    assert list(widths) == ["3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    assert list(widths.values()) == [256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024]


@pytest.mark.parametrize(("name", "classifier"), [("resnet50", 2048 * 1000 + 1000), ("googlenet", 1024 * 1000 + 1000)])
def test_torchvisions_backbones_have_torchvisions_size(name, classifier):
    published = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta["num_params"]
    assert parameters(outline(name)) + classifier == published


def test_resnet50_ibn_normalises_half_of_the_channels_by_instance():
    ibn = outline("resnet50_ibn")
    assert parameters(ibn) == parameters(outline("resnet50"))
    halves = {name: m for name, m in ibn.named_modules() if isinstance(m, InstanceBatchNorm)}
    blocks = [f"layer{stage}.{block}" for stage, number in ((1, 3), (2, 4), (3, 6)) for block in range(number)]
    assert list(halves) == [f"{block}.bn1" for block in blocks]


def test_half_of_the_channels_by_image_half_by_batch():
    norm = InstanceBatchNorm(64).train()
    x = torch.randn(3, 64, 5, 4, generator=torch.Generator().manual_seed(0)) * 3 + 7
    x[0] *= 10
    made, first, second = norm(x), x[:, :32], x[:, 32:]
    per_image = (first - first.mean((2, 3), keepdim=True)) / first.std((2, 3), unbiased=False, keepdim=True)
    per_batch = (second - second.mean((0, 2, 3), keepdim=True)) / second.std((0, 2, 3), unbiased=False, keepdim=True)
    assert torch.allclose(made, torch.cat([per_image, per_batch], 1), atol=1e-4)


def test_resnet50x_has_no_full_3x3_convolution():
    plain, separable = outline("resnet50"), outline("resnet50x")
    threes = [conv for conv in convolutions(separable) if conv.kernel_size == (3, 3)]
    assert len(threes) == 3 + 4 + 6 + 3
    assert all(conv.groups == conv.in_channels == conv.out_channels for conv in threes)
    # A full 3x3 of c channels has 9 c c weights, the pair 9 c + c c.
    saved = sum(number * (8 * c * c - 9 * c) for number, c in ((3, 64), (4, 128), (6, 256), (3, 512)))
    assert parameters(separable) == parameters(plain) - saved


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
