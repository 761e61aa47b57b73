"""What every backbone keeps to, unasked."""

import math

import pytest
import torch
from torch import Tensor, nn

from meta_core.backbone import Backbone, backbones, build_backbone
from meta_core.modality import build_modality
from tests import timm_weights

SHAPES = {
    "conv4": (1, 28, 28),
    "resnet12": (1, 28, 28),
    "views": (1, 28, 28),
    "mlp": (6,),
    "identity": (2, 3),
    "hinges": (4,),
    "spectrogram-conv": (1, 24, 40),
    "minirocket": (2, 50),
    "gru": (3, 20),
    "text-hash": (64,),
    "sentence-transformers": (64,),
    "timm": (3, 64, 64),
}
CONFIGS = {
    "sentence-transformers": {"model": "all-MiniLM-L6-v2"},
    "resnet12": {"widths": (8, 8, 16, 16)},
    "views": {"params": {"width": 8}},
}
OF_TEXTS = {"text-hash", "sentence-transformers"}


@pytest.fixture(params=list(backbones))
def backbone(request: pytest.FixtureRequest) -> Backbone:
    assert request.param in SHAPES, "give every backbone a shape here"
    torch.manual_seed(0)
    if request.param == "timm":
        if not timm_weights.INSTALLED:
            pytest.skip("timm is not installed (extra timm)")
        return build_backbone("timm/test_vit", SHAPES["timm"], {"weights": timm_weights.weights_of("timm/test_vit")})
    return build_backbone(request.param, SHAPES[request.param], CONFIGS.get(request.param, {}))


def inputs(backbone: Backbone, number: int) -> Tensor:
    if backbone.name in OF_TEXTS:
        return build_modality("text", {"max_bytes": 64}).read([f"this is text {i}" for i in range(number)], {})
    return torch.randn(number, *backbone.shape)


def test_it_makes_embeddings_of_its_dimension(backbone: Backbone) -> None:
    assert backbone(inputs(backbone, 5)).shape == (5, backbone.dimension)


def test_each_row_is_embedded_by_itself(backbone: Backbone) -> None:
    backbone.eval()
    x = inputs(backbone, 5)
    torch.testing.assert_close(backbone(x)[2:3], backbone(x[2:3]), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_its_inference_form_embeds_alike(backbone: Backbone) -> None:
    backbone.train()
    backbone(3 * inputs(backbone, 64) + 1)  # statistics that are not those it begins with
    backbone.eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -2, 2)
            nn.init.normal_(module.bias)
    x = inputs(backbone, 7)
    fast = backbone.inference()
    assert (fast.shape, fast.dimension) == (backbone.shape, backbone.dimension)
    expected = backbone(x)
    assert (fast(x) - expected).norm() <= 1e-5 * expected.norm()


def test_it_declares_running_statistics_if_it_has_them(backbone: Backbone) -> None:
    has = any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert has == (backbone.normalisation == "running")


def test_conv4_is_the_network_of_the_paper() -> None:
    torch.manual_seed(0)
    ours = build_backbone("conv4", (3, 32, 32), {})
    plain = nn.Sequential()
    for convolution, norm in ours.blocks:  # type: ignore[union-attr, misc]
        plain.extend([convolution, norm, nn.ReLU(), nn.MaxPool2d(2)])
    x = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(ours(x), plain(x).flatten(1), atol=1e-5, rtol=1e-4)
    assert ours.dimension == 64 * 2 * 2


def test_an_mlp_is_as_wide_and_deep_as_asked() -> None:
    widths = [module.weight.shape for module in build_backbone("mlp", (5,), {"width": 7, "layers": 3}).layers[::2]]  # type: ignore[index]
    assert [tuple(shape) for shape in widths] == [(7, 5), (7, 7), (7, 7)]


def test_identity_flattens() -> None:
    x = torch.randn(4, 2, 3)
    assert torch.equal(build_backbone("identity", (2, 3), {})(x), x.reshape(4, math.prod((2, 3))))


def test_hinges_are_zero_up_to_their_knots_and_lines_beyond() -> None:
    z = build_backbone("hinges", (1,), {"knots": [0.0, 1.5]})(torch.tensor([[-1.0], [1.0], [2.0]]))
    torch.testing.assert_close(z, torch.tensor([[-1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [2.0, 2.0, 0.5]]))


def test_fixed_normalisation_answers_like_the_batch_normalisation_it_comes_from() -> None:
    torch.manual_seed(0)
    batch = build_backbone("conv4", (1, 28, 28), {"width": 16})
    batch(3 * torch.randn(30, 1, 28, 28) + 1)  # statistics of its own
    fixed = build_backbone("conv4", (1, 28, 28), {"width": 16, "norm": "fixed"})
    fixed.load_state_dict(batch.state_dict())
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(fixed.train()(x), batch.eval()(x), atol=1e-5, rtol=1e-4)
    assert fixed.normalisation == "fixed"


def test_resnet12_has_as_many_weights_as_is_published() -> None:
    wide = build_backbone("resnet12", (3, 84, 84), {"widths": (64, 160, 320, 640)})
    assert sum(value.numel() for value in wide.parameters()) == 12_424_320  # the 12.4 million of MetaOptNet


def test_resnet12_pools_before_the_last_activation_to_the_same_effect() -> None:
    torch.manual_seed(0)
    ours = build_backbone("resnet12", (1, 28, 28), {"widths": (8, 8, 16, 16)}).eval()
    z = x = torch.randn(3, 1, 28, 28)
    leaky = nn.LeakyReLU(0.1)
    for block in ours.blocks:  # type: ignore[union-attr]
        (a, b, c), shortcut = block.convolutions, block.shortcut  # type: ignore[union-attr]
        z = nn.MaxPool2d(2)(leaky(c(leaky(b(leaky(a(z))))) + shortcut(z)))
    torch.testing.assert_close(ours(x), z.mean((2, 3)), atol=1e-5, rtol=1e-4)


def test_views_are_the_mean_of_five_places() -> None:
    torch.manual_seed(0)
    views = build_backbone("views", (1, 28, 28), {"params": {"width": 8}, "pixels": 2}).eval()
    x = torch.zeros(2, 1, 28, 28)
    x[..., 5:20, 5:20] = torch.rand(2, 1, 15, 15)  # nothing is moved out of the image
    places = [x, *(x.roll(step, axis) for step in (2, -2) for axis in (2, 3))]
    torch.testing.assert_close(views(x), torch.stack([views.body(place) for place in places]).mean(0))  # type: ignore[operator]
