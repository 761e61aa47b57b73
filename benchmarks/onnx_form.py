"""A folded Conv4 as an ONNX graph, run by onnxruntime on one thread."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import nn

from benchmarks.peers import installed

Array = npt.NDArray[np.float32]


def onnx_session(folded: nn.Module) -> Callable[[Array], Array]:
    """Embeddings of images [N, C, H, W], by the weights of `Conv4.inference()`."""
    installed("onnxruntime", ["onnxruntime", "onnx"])
    import onnx  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    nodes, weights, at = [], [], "x"
    for i, convolution in enumerate(folded.blocks):  # type: ignore[arg-type, union-attr]
        for name, value in (("w", convolution.weight), ("b", convolution.bias)):
            weights.append(numpy_helper.from_array(np.ascontiguousarray(value.numpy()), f"{name}{i}"))
        nodes.append(helper.make_node("Conv", [at, f"w{i}", f"b{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        nodes.append(helper.make_node("MaxPool", [f"r{i}"], [f"p{i}"], kernel_shape=[2, 2], strides=[2, 2]))
        at = f"p{i}"
    nodes.append(helper.make_node("Flatten", [at], ["z"]))
    shapes = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *folded.shape])]
    result = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", folded.dimension])]
    graph = helper.make_graph(nodes, "conv4", shapes, result, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]
