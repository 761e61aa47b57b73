"""The forms of bodies that are tried for speed."""

import pytest
import torch
from torch import nn

from meta_core.backbone import Backbone, build_backbone
from meta_core.chain import Chain
from meta_core.errors import BrokenOff, Cancelled
from meta_core.fastest import AGREE_IN_HALF, fastest, in_half_precision
from meta_core.onnx_form import INSTALLED, OnnxChain

needs_onnx = pytest.mark.skipif(not INSTALLED, reason="onnx and onnxruntime are not installed (extra onnx)")
CPU = torch.device("cpu")


@pytest.fixture(params=[("conv4", (1, 28, 28)), ("conv4", (3, 32, 32)), ("spectrogram-conv", (1, 24, 40))])
def chain(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    name, shape = request.param
    body = build_backbone(name, shape, {})
    body(torch.randn(16, *shape))  # statistics that are not those it begins with
    return body.eval().inference()


@needs_onnx
@torch.inference_mode()
def test_it_embeds_alike_for_any_number_of_inputs(chain: Chain) -> None:
    other = OnnxChain(chain)
    for number in (1, 6):
        x = torch.rand(number, *chain.shape)
        expected = chain(x)
        assert (other(x) - expected).norm() <= 1e-5 * expected.norm()


@needs_onnx
def test_what_disagrees_is_not_used(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    chain.finish = lambda z: torch.rand(len(z), chain.dimension)
    assert fastest(chain, CPU) is chain
    assert "differently" in caplog.text


def test_only_plain_sequences_on_a_cpu_are_tried(chain: Chain) -> None:
    trained = build_backbone("conv4", (1, 28, 28), {"norm": "group"})
    assert fastest(trained, CPU) is trained
    assert fastest(chain, torch.device("meta")) is chain


@needs_onnx
def test_a_layer_it_does_not_know_leaves_the_body_as_it_is(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    chain.layers.append(nn.Sigmoid())
    assert fastest(chain, CPU) is chain
    assert "cannot carry" in caplog.text


class OutOfTime(BrokenOff):
    """As a worker's time limit raises it."""


@needs_onnx
@pytest.mark.parametrize("reason", [Cancelled, OutOfTime])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_stops_the_work_is_no_failure_of_a_form(chain: Chain, reason: type[BrokenOff], wrapped: bool) -> None:
    def stopped(z: torch.Tensor) -> torch.Tensor:
        try:
            raise reason("now")
        except BrokenOff:
            if wrapped:  # as compilers do
                raise RuntimeError("no backend") from None
            raise

    chain.finish = stopped
    with pytest.raises(reason, match="now"):
        fastest(chain, CPU)


@torch.inference_mode()
def test_half_precision_embeds_nearly_alike_with_the_same_weights(chain: Chain) -> None:
    half, x = in_half_precision(chain), torch.rand(5, *chain.shape)
    expected, found = chain(x), half(x)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() <= AGREE_IN_HALF * expected.norm()
    torch.testing.assert_close(chain(x), expected, rtol=0, atol=0)  # it stays in full precision itself
