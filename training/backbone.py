"""The pretrained weights that fine-tuning starts from: kept beside the code, in half precision, without pickle."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.network import Network

BACKBONE_FILE = Path(__file__).resolve().parent / "backbone.safetensors"


@dataclass(frozen=True)
class Backbone:
    """`weights` by their names in Network; `classes` are the outputs of its head; `about` says how it was made."""

    weights: dict[str, Tensor]
    classes: tuple[str, ...]
    about: dict[str, str]

    def save(self, path: Path) -> None:
        """Write the weights in half precision, as safetensors."""
        halves = {
            name: value.half().contiguous() if value.is_floating_point() else value.contiguous()
            for name, value in self.weights.items()
        }
        save_file(halves, path, metadata={**self.about, "classes": json.dumps(self.classes)})

    def load_into(self, network: Network, outputs: Sequence[str]) -> None:
        """Copy the weights into `network`; an output that the backbone knows by name keeps its row of the head.

        The rows of the others start near zero.
        """
        own = {name: value.float() for name, value in self.weights.items() if not name.startswith("head.")}
        network.load_state_dict(own, strict=False)
        weight, bias = self.weights["head.weight"].float(), self.weights["head.bias"].float()
        places = {name: i for i, name in enumerate(self.classes)}
        with torch.no_grad():
            network.head.weight.mul_(0.1)
            network.head.bias.zero_()
            for row, name in enumerate(outputs):
                if name in places:
                    network.head.weight[row] = weight[places[name]]
                    network.head.bias[row] = bias[places[name]]


def load_backbone(path: Path = BACKBONE_FILE) -> Backbone | None:
    """Return the backbone in `path`, or None when there is no such file."""
    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        about = dict(file.metadata())
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    return Backbone(weights, tuple(json.loads(about.pop("classes"))), about)
