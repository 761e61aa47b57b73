"""Bodies replayed for a few numbers of inputs, and compiled ones; without a GPU, what is replayed runs eagerly."""

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from torch import Tensor

from meta_core.backbone import Backbone, build_backbone
from meta_core.compiled import CompiledBody
from meta_core.fastest import AGREE_IN_HALF, AGREE_IN_TF32, fastest, in_half_precision, on_gpu
from meta_core.graphed import SIZES, GraphedBody, Recording, padded_size
from meta_core.transfer import sent

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = torch.device("cuda")
NUMBERS = (1, 2, 3, 5, 25, 33, 64, 65)


def eagerly(body: Backbone, sizes: Sequence[int]) -> dict[int, Recording]:
    """A graph by other means: the same memory is read and written."""

    def recording(size: int) -> Recording:
        inputs = torch.full((size, *body.shape), torch.nan)  # what was never written must not be seen
        outputs = torch.empty(size, body.dimension)
        return Recording(inputs, outputs, lambda: outputs.copy_(body(inputs)))

    return {size: recording(size) for size in sizes}


@pytest.fixture
def body() -> Backbone:
    torch.manual_seed(0)
    body = build_backbone("conv4", (1, 16, 16), {"width": 16})
    body(torch.randn(16, 1, 16, 16))
    return body.eval().requires_grad_(False).inference()


def images(number: int) -> Tensor:
    return torch.rand(number, 1, 16, 16, generator=torch.Generator().manual_seed(number))


def test_sizes_are_rounded_up_to_those_recorded() -> None:
    assert [padded_size(n, SIZES) for n in (1, 2, 3, 4, 5, 8, 9, 33, 64, 65)] == [1, 2, 4, 4, 8, 8, 16, 64, 64, None]
    assert padded_size(1, ()) is None


@torch.inference_mode()
def test_any_number_of_inputs_is_embedded_as_by_the_body(body: Backbone) -> None:
    graphed = GraphedBody(body, eagerly)
    first = graphed(images(25))
    kept = first.clone()
    for number in NUMBERS:
        torch.testing.assert_close(graphed(images(number)), body(images(number)))
    assert graphed(images(1)[:0]).shape == (0, body.dimension)
    assert torch.equal(first, kept)  # no answer lies in memory that is written again


def test_gradients_of_inputs_go_through_the_body(body: Backbone) -> None:
    x = images(3).requires_grad_()
    GraphedBody(body, eagerly)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@torch.inference_mode()
def test_the_forms_for_a_gpu_answer_alike(body: Backbone) -> None:
    forms = {name: (make, most) for name, make, most in on_gpu(body, False, partial(GraphedBody, record=eagerly))}
    assert list(forms) == ["float32 in CUDA graphs", "bfloat16", "bfloat16 in CUDA graphs"]
    for make, most in forms.values():
        form = make()
        for number in (1, 25):
            expected = body(images(number))
            assert (form(images(number)) - expected).norm() <= most * expected.norm()
    wanted = [name for name, _, _ in on_gpu(body, True, GraphedBody)]
    assert wanted[3:] == [
        f"compiled {name}{how}" for name in ("float32", "bfloat16") for how in ("", " in CUDA graphs")
    ]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of PyTorch to itself, when it is imported
@torch.inference_mode()
def test_what_is_compiled_answers_alike_with_any_number_of_inputs(body: Backbone) -> None:
    torch.compiler.reset()
    compiled = CompiledBody(in_half_precision(body), "eager")
    for number in (1, 6, 25):
        expected = in_half_precision(body)(images(number))
        torch.testing.assert_close(compiled(images(number)), expected)
        assert 0 < (expected - body(images(number))).norm() <= AGREE_IN_HALF * expected.norm()


def test_on_a_cpu_nothing_is_sent() -> None:
    x = images(2)
    assert sent(x, torch.device("cpu")) is x


@needs_gpu
@torch.inference_mode()
def test_graphs_on_a_gpu_embed_as_the_body_does(body: Backbone) -> None:
    body = body.to(GPU)
    for form, most in ((body, AGREE_IN_TF32), (in_half_precision(body), AGREE_IN_HALF)):
        graphed = GraphedBody(form)
        for number in (*NUMBERS, *reversed(NUMBERS)):
            expected = form(images(number).to(GPU))
            assert (graphed(sent(images(number), GPU)) - expected).norm() <= most * expected.norm()


@needs_gpu
@torch.inference_mode()
def test_the_fastest_on_a_gpu_agrees(body: Backbone) -> None:
    body = body.to(GPU)
    chosen = fastest(body, GPU)
    for number in NUMBERS:
        expected = body(images(number).to(GPU))
        assert (chosen(images(number).to(GPU)) - expected).norm() <= AGREE_IN_HALF * expected.norm()
