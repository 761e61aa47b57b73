"""Convolutional bodies run by ONNX Runtime (extra `onnx`), where it is installed and a measurement finds it faster."""

import importlib
import importlib.util
import logging
import math
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation
from meta_core.chain import Chain

INSTALLED = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))
SIZES = (1, 25)
"""Inputs in one pass for which both forms are timed: a query, and a usual support set."""
ROUNDS = 7
AGREE = 1e-5
"""The most that answers may differ by, relative to their norm."""

log = logging.getLogger(__name__)


class OnnxChain(Backbone):
    """The same map as a `Chain`, its layers run by ONNX Runtime on one thread."""

    normalisation: Normalisation = "none"

    def __init__(self, chain: Chain) -> None:
        super().__init__(chain.shape, chain.config)
        self.dimension = chain.dimension
        self.finish = chain.finish
        self._session = _session(chain)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, D]."""
        (maps,) = self._session.run(None, {"x": np.ascontiguousarray(x.numpy())})
        return self.finish(torch.from_numpy(maps))


def fastest(body: Backbone, device: torch.device) -> Backbone:
    """The body, or the same map in ONNX Runtime if that answers alike and sooner on this machine."""
    if not INSTALLED or device.type != "cpu" or not isinstance(body, Chain):
        return body
    try:
        other = OnnxChain(body)
        ratio = _ratio(body, other)
    except Exception as error:  # whatever a runtime for some other processor may raise: it is not needed
        log.warning("no ONNX Runtime for this body: %s", error)
        return body
    if ratio is None:
        log.warning("ONNX Runtime answers differently by more than %g; PyTorch encodes", AGREE)
        return body
    log.debug("ONNX Runtime encodes in %.2f of the time", ratio)
    return other if ratio < 1 else body


@torch.inference_mode()
def _ratio(body: Backbone, other: Backbone) -> float | None:
    """Geometric mean over `SIZES` of the other's time by the body's; None if they disagree."""
    logs = []
    for size in SIZES:
        x = torch.rand(size, *body.shape, generator=torch.Generator().manual_seed(0))
        expected = body(x)
        if (other(x) - expected).norm() > AGREE * expected.norm():
            return None
        taken = [(_seconds(body, x), _seconds(other, x)) for _ in range(ROUNDS)]
        ours, its = (min(side) for side in zip(*taken, strict=True))
        logs.append(math.log(its / ours))
    return math.exp(sum(logs) / len(logs))


def _seconds(body: Backbone, x: Tensor) -> float:
    """CPU time of this thread: what else runs on the machine does not count."""
    started = time.thread_time()
    body(x)
    return time.thread_time() - started


def _session(chain: Chain) -> Any:
    onnxruntime = importlib.import_module("onnxruntime")  # it has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(_graph(chain), options, providers=["CPUExecutionProvider"])


def _graph(chain: Chain) -> bytes:
    """The layers as an ONNX model, for any number of inputs."""
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    nodes, weights, at = [], [], "x"
    for i, layer in enumerate(chain.layers):
        inputs, made = [at], f"z{i}"
        for name, value in layer.named_parameters():
            weights.append(numpy_helper.from_array(_array(value), f"{name}{i}"))
            inputs.append(f"{name}{i}")
        operator, attributes = _operator(layer)
        nodes.append(helper.make_node(operator, inputs, [made], **attributes))
        at = made
    images = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *chain.shape])
    maps = helper.make_tensor_value_info(at, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "chain", [images], [maps], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def _operator(layer: nn.Module) -> tuple[str, dict[str, Any]]:
    """ONNX operator and attributes of a layer."""
    if isinstance(layer, nn.Conv2d):
        return "Conv", {"strides": layer.stride, "pads": (*layer.padding, *layer.padding)}
    if isinstance(layer, nn.MaxPool2d):
        return "MaxPool", {"kernel_shape": layer.kernel_size, "strides": layer.stride}
    if isinstance(layer, nn.ReLU):
        return "Relu", {}
    raise NotImplementedError(f"no operator for {layer}")


def _array(value: Tensor) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(value.detach().numpy())
