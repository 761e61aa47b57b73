"""Convolutional bodies run by ONNX Runtime (extra `onnx`)."""

import importlib
import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation
from meta_core.chain import Chain

INSTALLED = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


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
