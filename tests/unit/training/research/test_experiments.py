"""The experiments of the study."""

from training.research.experiments import split_series


def test_photos_with_neighbouring_numbers_are_in_the_same_half():
    names = [f"street-nvd_{number:04}.jpg" for number in range(60)]
    first = split_series(names, seed=0)
    assert 0 < first.sum() < 60
    for start in range(0, 60, 10):
        assert len(set(first[start : start + 10].tolist())) == 1
