"""Fine-tuning the backbone; skipped without PyTorch."""

import numpy as np

from operate.synthetic_photos import synthetic_photos
from training.dataset import Dataset
from training.images import resize_batch

GROUPS = ((671, 444), (670, 665))


def test_interpolated_weights_lie_between_those_before_and_after_fine_tuning(torch, network):
    from training.research.finetune import FinetuneRecipe, finetune, interpolate_weights

    photos = synthetic_photos(6, seed=0)
    data = Dataset([np.ascontiguousarray(image) for image in resize_batch(photos.images, 32)], photos.labels)
    recipe = FinetuneRecipe(steps=2, vehicles_per_batch=3, others_per_batch=3, side=32, initial_side=32)
    losses = []
    after = finetune(network, data, ("bicycle", "motorcycle"), GROUPS, recipe, 0, lambda *step: losses.append(step[2]))
    assert len(losses) == 2
    old, new = network._conv_head.weight, after._conv_head.weight
    assert not torch.equal(old, new)
    assert torch.equal(network._fc.weight, after._fc.weight)
    half = interpolate_weights(network, after, 0.5)._conv_head.weight
    assert torch.allclose(half, (old + new) / 2, atol=1e-7)


def test_augmented_images_have_the_requested_size_and_levels_up_to_255(torch):
    from training.research.finetune import augment

    images = torch.from_numpy(resize_batch(synthetic_photos(2, seed=0).images, 32)).permute(0, 3, 1, 2).float()
    augmented = augment(images, 64, np.random.default_rng(0))
    assert augmented.shape == (12, 3, 64, 64)
    assert 0 <= float(augmented.min()) <= float(augmented.max()) <= 255
