"""How networks are trained: Muon's steps, rates that rise and fall, photos that grow on the way."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.augment import mixed, shrunk
from training.descent import Average, Descent
from training.images import SIDE
from training.muon import Muon, orthogonal
from training.network import Network


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (32, 32)])
def test_a_step_moves_every_direction_alike(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    # Singular values from 1 down to 0.05: plain gradient descent would hardly move the last.
    left, _, right = torch.linalg.svd(torch.randn(*shape, generator=generator), full_matrices=False)
    matrix = left * torch.linspace(1, 0.05, min(shape)) @ right
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert float(values.min()) > 0.25
    assert float(values.max()) < 1.25
    turned_back = left.T @ orthogonal(matrix) @ right.T
    assert torch.allclose(turned_back, torch.diag(turned_back.diag()), atol=0.03)


def test_muon_resets_the_norm_of_the_weights_and_goes_downhill() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 3, 3, 3) * 5)
    photos, wanted = torch.randn(20, 3, 8, 8), torch.randn(6, 3, 3, 3)
    aim = functional.conv2d(photos, wanted / wanted.norm() * 6**0.5)
    optimizer = Muon([weight], lr=0.05)

    def loss() -> torch.Tensor:
        return functional.mse_loss(functional.conv2d(photos, weight / weight.norm() * 6**0.5), aim)

    first = loss().item()
    for _ in range(60):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < first / 20
    assert float(weight.norm()) == pytest.approx(6**0.5, rel=0.05)


def test_optimizers_go_downhill_together_each_at_its_own_rate_and_stop() -> None:
    torch.manual_seed(0)
    network = Network(5)
    head = torch.optim.SGD(network.head.parameters(), lr=0.5)
    convolutions = Muon(network.convolutions(), lr=0.2)
    descent = Descent(network, [head, convolutions], steps=4, warm=0.5, start=0.5)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    rates = []
    for _ in range(4):
        rates.append((head.param_groups[0]["lr"], convolutions.param_groups[0]["lr"]))
        photos = torch.rand(8, 3, SIDE, SIDE) * 255
        descent.step(functional.cross_entropy(network(photos), torch.arange(8) % 5))
    assert np.allclose(rates, [(0.25, 0.1), (0.375, 0.15), (0.5, 0.2), (0.25, 0.1)])
    assert head.param_groups[0]["lr"] == 0
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for name in before if "conv" in name or "head" in name}


def test_the_average_lags_behind_the_network() -> None:
    network = Network(3)
    averaged = Average(network, 0.9)
    with torch.no_grad():
        network.head.bias.fill_(1.0)
    for _ in range(200):
        averaged.update(network)
    assert np.allclose(averaged.network.head.bias.detach(), 1.0, atol=0.02)
    with torch.no_grad():
        network.head.bias.fill_(2.0)
    averaged.update(network)
    assert np.allclose(averaged.network.head.bias.detach(), 1.1, atol=0.02)


def test_photos_grow_as_training_goes_on() -> None:
    photos = torch.rand(2, 3, SIDE, SIDE) * 255
    sides = ((0.3, 20), (0.6, 24))
    assert [shrunk(photos, sides, progress).shape[-1] for progress in (0.0, 0.29, 0.3, 0.59, 0.6, 0.99)] == [
        20, 20, 24, 24, SIDE, SIDE,
    ]  # fmt: skip
    assert torch.equal(shrunk(photos, (), 0.0), photos)
    assert torch.allclose(shrunk(photos, sides, 0.0).mean(), photos.mean(), rtol=0.02)


def test_mixed_photos_carry_a_square_of_one_another_as_large_as_is_said() -> None:
    photos = torch.arange(1.0, 9.0)[:, None, None, None].expand(8, 3, SIDE, SIDE)
    generator = np.random.default_rng(0)
    parts = []
    for _ in range(20):
        result, others, part = mixed(photos, 1.0, generator)
        for i in range(8):
            foreign = result[i] != photos[i]
            assert (result[i][foreign] == photos[others[i], 0, 0, 0]).all()
            if others[i] != i:
                assert float(foreign.float().mean()) == part
        parts.append(part)
    assert 0.35 < np.mean(parts) < 0.65
    assert photos[0].eq(1).all()
    result, others, part = mixed(photos, 0.0, generator)
    assert (torch.equal(result, photos), others.tolist(), part) == (True, list(range(8)), 0)
