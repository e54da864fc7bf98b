"""The network: a small convolutional net in the manner of airbench, on SIDE x SIDE photos.

Reference: K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024. A frozen whitening convolution, then
three blocks, of which the later two have a third convolution on a residual path; 1.9 million parameters.
"""

from collections.abc import Mapping

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

WIDTHS = (48, 128, 256)
RESIDUAL = (False, True, True)
PATCH = 2
STEM = 2 * 3 * PATCH * PATCH  # each principal direction of a patch, and its negative
FEATURES = WIDTHS[-1]

Weights = Mapping[str, Tensor]


class Block(nn.Module):
    """Convolution and pooling, then one or, on a residual path, two more convolutions; halves the side.

    Batch normalisation and ReLU follow each convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.conv1, self.norm1 = _convolution(channels_in, channels_out)
        self.conv2, self.norm2 = _convolution(channels_out, channels_out)
        if residual:
            self.conv3, self.norm3 = _convolution(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.norm1(nn.functional.max_pool2d(self.conv1(x), 2)))
        y = nn.functional.relu(self.norm2(self.conv2(x)))
        return nn.functional.relu(self.norm3(self.conv3(y)) + x) if self.residual else y


def _convolution(channels_in: int, channels_out: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.data[:channels_in])  # airbench: passes its input on at first
    return conv, nn.BatchNorm2d(channels_out, momentum=0.2)


class Network(nn.Module):
    """From photos (N, 3, SIDE, SIDE), float 0...255, to one logit per vehicle and per kind of outlier."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 127.5))
        self.register_buffer("deviation", torch.full((1, 3, 1, 1), 64.0))
        self.stem = nn.Conv2d(3, STEM, PATCH, bias=True)
        sizes = zip((STEM, *WIDTHS[:-1]), WIDTHS, RESIDUAL, strict=True)
        self.blocks = nn.Sequential(*(Block(*size) for size in sizes))
        self.head = nn.Linear(FEATURES, outputs)
        for parameter in self.stem.parameters():
            parameter.requires_grad = False
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this overload

    mean: Tensor
    deviation: Tensor

    def features(self, photos: Tensor) -> Tensor:
        """Return (N, FEATURES) of photos (N, 3, SIDE, SIDE), float 0...255."""
        x = ((photos - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        x = self.blocks(nn.functional.relu(self.stem(x)))
        pooled: Tensor = x.mean(dim=(2, 3))
        return pooled

    def forward(self, photos: Tensor) -> Tensor:
        """Return logits (N, outputs)."""
        logits: Tensor = self.head(self.features(photos))
        return logits

    def convolutions(self) -> list[nn.Parameter]:
        """Return the weights (O, I, 3, 3) of the blocks' convolutions that are trained: what training.muon is for."""
        return [parameter for parameter in self.blocks.parameters() if parameter.requires_grad and parameter.ndim == 4]

    @torch.no_grad()
    def round_to_half(self) -> None:
        """Round the weights that training.export stores in half precision: what is judged is what is served."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.copy_(layer.weight.half())

    def whiten(self, photos: Tensor) -> None:
        """Set and freeze the stem so that it decorrelates PATCH x PATCH patches of `photos` (N, 3, SIDE, SIDE)."""
        self.mean.copy_(photos.mean(dim=(0, 2, 3), keepdim=True))
        self.deviation.copy_(photos.std(dim=(0, 2, 3), keepdim=True))
        normal = (photos - self.mean) / self.deviation
        patches = normal.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, STEM // 2)
        variance, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        whitening = (directions / (variance + 5e-4).sqrt()).T.reshape(STEM // 2, 3, PATCH, PATCH)
        with torch.no_grad():
            self.stem.weight.copy_(torch.cat([whitening, -whitening]))
            nn.init.zeros_(self.stem.bias) if self.stem.bias is not None else None


def vehicle_logits(logits: Tensor, vehicles: int) -> Tensor:
    """Return (N, vehicles + 1): the vehicles' logits and, for `other`, the log-sum-exp of all the outliers'.

    Their softmax is the softmax over every output with the outliers' probabilities added up.
    """
    return torch.cat([logits[:, :vehicles], logits[:, vehicles:].logsumexp(dim=1, keepdim=True)], dim=1)


def to_tensor(images: NDArray) -> Tensor:  # type: ignore[type-arg]  # uint8 or float, both are meant
    """Return images (N, SIDE, SIDE, 3) as float (N, 3, SIDE, SIDE), channels last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def fast_type() -> torch.dtype:
    """Return bfloat16 where the processor multiplies it natively (twice as fast there), else float32."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
