"""Export a network to ONNX: from pixels to features and ImageNet's logits, with weights in half precision.

The graph is built by hand: exporters write the asymmetric padding of the convolutions as separate operators. Batch
normalisation is folded into the convolutions. A session casts the weights to float32 once, when it loads them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.research.efficientnet import CLASSES, FEATURES, MEAN, STD, Block, EfficientNetLite0, SameConv

OPSET = 17


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, value: Tensor) -> str:
        return self.add("Cast", self.constant(_numpy(value).astype(np.float16)), to=TensorProto.FLOAT)

    def convolution(self, x: str, conv: SameConv, norm: nn.BatchNorm2d, relu6: bool = True) -> str:
        weight, bias = fold_batch_norm(conv, norm)
        before, after = conv.same_padding()
        x = self.add(
            "Conv",
            x,
            self.weight(weight),
            self.constant(_numpy(bias)),
            group=conv.groups,
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=[before, before, after, after],
        )
        if not relu6:
            return x
        low, high = (self.constant(np.array(bound, dtype=np.float32)) for bound in (0.0, 6.0))
        return self.add("Clip", x, low, high)


def fold_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution that is equal to `conv` followed by `norm` in evaluation mode.

    Raises TypeError when `norm` has no running statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("batch normalisation without running statistics cannot be folded")
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


@torch.no_grad()
def export(network: EfficientNetLite0, path: Path, metadata: dict[str, Any]) -> None:
    """Write `network` to `path`, with `metadata` as JSON in the file's metadata.

    Input `photos` uint8 (N, side, side, 3) with a side that is a multiple of 32. Outputs `features` float
    (N, FEATURES) and `logits` float (N, CLASSES). Raises TypeError for a block of another type.
    """
    network.eval()
    graph = _Graph()
    x = graph.add("Transpose", graph.add("Cast", "photos", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    x = graph.add("Sub", x, graph.constant(np.array(MEAN, dtype=np.float32)))
    x = graph.add("Div", x, graph.constant(np.array(STD, dtype=np.float32)))
    x = graph.convolution(x, network._conv_stem, network._bn0)
    for block in network._blocks:
        if not isinstance(block, Block):
            raise TypeError(f"cannot export a {type(block).__name__}")
        y = graph.convolution(x, block._expand_conv, block._bn0) if block.expands else x
        y = graph.convolution(y, block._depthwise_conv, block._bn1)
        y = graph.convolution(y, block._project_conv, block._bn2, relu6=False)
        x = graph.add("Add", y, x) if block.residual else y
    x = graph.convolution(x, network._conv_head, network._bn1)
    x = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0, output="features")
    graph.add(
        "Gemm", x, graph.weight(network._fc.weight), graph.constant(_numpy(network._fc.bias)), transB=1, output="logits"
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "backbone",
            [helper.make_tensor_value_info("photos", TensorProto.UINT8, ["N", "side", "side", 3])],
            [
                helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES]),
                helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="training.research.export",
    )
    model.ir_version = 8
    helper.set_model_props(model, {"about": json.dumps(metadata, sort_keys=True)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _numpy(value: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.detach().cpu().numpy().astype(np.float32)
    return array
