"""Calibration and the choice of the threshold."""

import numpy as np
import pytest

from training import metrics
from training.calibrate import THRESHOLDS, calibrate, choose_operating_point, estimate_operating_points, mixture_weights
from training.policy import Policy


def calibrated_logits(count: int, seed: int, others: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated logits: classes are sampled from their softmax. The last `others` rows are mostly `other`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (count, 3))
    logits[:, 2] -= 4
    if others:
        logits[-others:, 2] += 8
    return logits, np.array([generator.choice(3, p=row) for row in metrics.softmax(logits)])


def test_the_temperature_corrects_overconfidence():
    logits, truth = calibrated_logits(6000, 0, others=3000)
    weights = np.ones(len(truth)) / len(truth)
    assert calibrate(logits * 3, truth, Policy(), weights).temperature == pytest.approx(3.0, rel=0.15)


def test_other_photos_have_the_weight_that_the_policy_assumes():
    weights = mixture_weights(np.array([0, 1, 0, 2, 2]), 2, others_share=0.1)
    assert weights.sum() == pytest.approx(1)
    assert weights[3:].sum() == pytest.approx(0.1)


def test_the_chosen_point_satisfies_the_policy_on_new_photos():
    policy = Policy()
    chosen = choose_operating_point(estimate_operating_points(*calibrated_logits(3000, 1, others=800), policy), policy)
    assert chosen.wrong_upper <= policy.wrong_at_most
    logits, truth = calibrated_logits(40_000, 2, others=10_000)
    probabilities = metrics.softmax(logits)
    is_accepted = metrics.accepted(probabilities, chosen.threshold)
    weights = mixture_weights(truth, 2, policy.others_share)
    wrong = probabilities.argmax(axis=1) != truth
    assert (weights * (wrong & is_accepted)).sum() / (weights * is_accepted).sum() <= policy.wrong_at_most * 1.2


def test_two_samples_give_nearly_the_same_threshold():
    policy = Policy()
    found = [
        choose_operating_point(
            estimate_operating_points(*calibrated_logits(3000, seed, others=800), policy, seed), policy
        )
        for seed in (3, 4)
    ]
    assert abs(found[0].threshold - found[1].threshold) <= 0.02


def test_a_stricter_policy_never_lowers_the_threshold():
    data = calibrated_logits(3000, 5, others=800)
    chosen = [
        choose_operating_point(estimate_operating_points(*data, policy), policy)
        for policy in (Policy(0.02), Policy(0.01), Policy(0.003))
    ]
    assert [point.threshold for point in chosen] == sorted(point.threshold for point in chosen)
    assert chosen[0].threshold < chosen[-1].threshold


def test_the_highest_threshold_is_chosen_when_none_satisfies_the_policy():
    uniform = np.zeros((100, 3)), np.arange(100) % 3
    policy = Policy()
    assert choose_operating_point(estimate_operating_points(*uniform, policy), policy).threshold == THRESHOLDS[-1]


def test_without_other_photos_their_acceptance_is_none():
    logits, truth = calibrated_logits(500, 6)
    rows = truth < 2
    point = estimate_operating_points(logits[rows], truth[rows], Policy())[0]
    assert (point.others_accepted, point.others_accepted_upper) == (None, None)
