"""Write a trained network as ONNX: photos in, logits and probabilities out, nothing left to do for who serves it.

The graph is built by hand from a dozen operators, so that it holds what no exporter would add: weights in half
precision, the mean over a photo and its mirror image, and the calibration.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.calibrate import Calibration
from training.images import SIDE
from training.network import Block, Network

OPSET = 17

Array = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.int64]


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, value: Tensor) -> str:
        """A weight, stored in half precision: the session widens it once, as it loads, and computes in float."""
        return self.add("Cast", self.constant(_numpy(value).astype(np.float16)), to=TensorProto.FLOAT)

    def convolution(self, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d, pool: bool = False) -> str:
        """Convolution, pooling and batch normalisation; the session melts those that are neighbours into one."""
        x = self.add("Conv", x, self.weight(conv.weight), pads=[1, 1, 1, 1])
        if pool:
            x = self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        scale, shift = _folded(norm)
        x = self.add("Mul", x, self.constant(scale.reshape(1, -1, 1, 1)))
        return self.add("Add", x, self.constant(shift.reshape(1, -1, 1, 1)))

    def slice(self, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
        bounds = [self.constant(np.array([value], dtype=np.int64)) for value in (start, end, axis, step)]
        return self.add("Slice", x, *bounds)


def export(network: Network, vehicles: int, calibration: Calibration, path: Path) -> None:
    """Write `network` to `path`.

    Input `photos` uint8 (N, SIDE, SIDE, 3). Outputs `logits` float (N, vehicles + 1), averaged over each photo and its
    mirror image, and `probabilities` float (N, vehicles + 1), calibrated.
    """
    network.eval()
    graph = _Graph()
    pixels = graph.add("Transpose", graph.add("Cast", "photos", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    mirrored = graph.slice(pixels, axis=3, start=-1, end=-SIDE - 1, step=-1)
    x = graph.add("Concat", pixels, mirrored, axis=0)
    x = graph.add("Sub", x, graph.constant(_numpy(network.mean)))
    x = graph.add("Div", x, graph.constant(_numpy(network.deviation)))
    stem_bias = network.stem.bias if network.stem.bias is not None else network.stem.weight.new_zeros(0)
    x = graph.add("Conv", x, graph.weight(network.stem.weight), graph.constant(_numpy(stem_bias)))
    x = graph.add("Relu", x)
    for block in network.blocks:
        if not isinstance(block, Block):
            raise TypeError(f"no ONNX form of {type(block).__name__}")
        x = graph.add("Relu", graph.convolution(x, block.conv1, block.norm1, pool=True))
        y = graph.add("Relu", graph.convolution(x, block.conv2, block.norm2))
        if block.residual:
            y = graph.add("Relu", graph.add("Add", graph.convolution(y, block.conv3, block.norm3), x))
        x = y
    x = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    x = graph.add("Gemm", x, graph.weight(network.head.weight), graph.constant(_numpy(network.head.bias)), transB=1)
    others = graph.add("ReduceLogSumExp", graph.slice(x, 1, vehicles, network.head.out_features), axes=[1], keepdims=1)
    x = graph.add("Concat", graph.slice(x, 1, 0, vehicles), others, axis=1)
    x = graph.add("Reshape", x, graph.constant(np.array([2, -1, vehicles + 1], dtype=np.int64)))
    logits = graph.add("ReduceMean", x, axes=[0], keepdims=0, output="logits")
    offset = np.zeros((1, vehicles + 1), dtype=np.float32)
    offset[0, -1] = calibration.other_offset
    x = graph.add("Div", logits, graph.constant(np.array(calibration.temperature, dtype=np.float32)))
    x = graph.add("Add", x, graph.constant(offset))
    graph.add("Softmax", x, axis=1, output="probabilities")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "vehicles",
            [helper.make_tensor_value_info("photos", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", vehicles + 1])
                for name in ("logits", "probabilities")
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="training.export",
    )
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _folded(norm: nn.BatchNorm2d) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (scale, shift) (C,) of what a batch normalisation does in evaluation."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("batch normalisation without running statistics has no fixed form")
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return _numpy(scale), _numpy(norm.bias - norm.running_mean * scale)


def _numpy(value: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.detach().cpu().numpy().astype(np.float32)
    return array
