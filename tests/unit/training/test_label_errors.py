"""Labels that contradict predictions, on simulated predictions of a model that is right about 97 in 100 photos."""

import numpy as np

from training.label_errors import compare_reviewers, find_suspected
from training.metrics import softmax

REVIEWERS = 4


def simulate(count, seed):
    """Return probabilities (count, 3) and the true classes; the logit of the true class is larger by 5 on average."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(3, count, p=[0.4, 0.4, 0.2])
    logits = generator.normal(0, 1.5, (count, 3))
    logits[np.arange(count), truth] += 5
    return softmax(logits), truth


def assign(count, seed):
    return [f"reviewer {number % REVIEWERS}" for number in np.random.default_rng(seed).permutation(count)]


def worse(reviewers, suspected):
    return [errors.reviewer for errors in compare_reviewers(reviewers, suspected) if errors.is_worse]


def test_five_percent_wrong_labels_by_one_reviewer_are_found_and_the_reviewer_is_named():
    found = []
    for seed in range(20):
        probabilities, labels = simulate(400, seed)
        reviewers = assign(400, seed)
        wrong = np.flatnonzero(np.array(reviewers) == "reviewer 2")[:20]
        labels[wrong] = (labels[wrong] + 1) % 3
        suspected = find_suspected(probabilities, labels)
        found.append(suspected[wrong].mean())
        assert np.delete(suspected, wrong).mean() <= 0.05
        assert worse(reviewers, suspected) == ["reviewer 2"]
    assert np.mean(found) >= 0.75


def test_without_wrong_labels_nobody_is_named():
    """In 200 simulated sets; the test allows a hundredth of them."""
    named = 0
    for seed in range(200):
        probabilities, labels = simulate(400, seed)
        named += bool(worse(assign(400, seed), find_suspected(probabilities, labels)))
    assert named <= 2


def test_labels_of_a_class_that_the_model_does_not_know_are_not_suspected():
    probabilities, labels = simulate(400, 0)
    added = np.column_stack([probabilities * 0.99, np.full(400, 0.01)])  # the model never predicts the fourth class
    labels[:30] = 3
    assert not find_suspected(added, labels)[:30].any()


def test_a_single_reviewer_is_compared_with_nobody():
    probabilities, labels = simulate(100, 1)
    labels[:30] = (labels[:30] + 1) % 3
    (errors,) = compare_reviewers(["ada"] * 100, find_suspected(probabilities, labels))
    assert errors.suspected > 20
    assert not errors.is_worse


def test_without_labels_nothing_is_suspected():
    assert find_suspected(np.zeros((0, 3)), np.zeros(0, dtype=np.intp)).tolist() == []
    assert compare_reviewers([], np.zeros(0, dtype=bool)) == []
