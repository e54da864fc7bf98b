"""The figures a model is judged by, on cases small enough to count by hand."""

import math

import numpy as np
import pytest

from training import metrics
from training.calibrate import THRESHOLDS, calibrate, choose, mixture_weights, operating_points
from training.evaluation import evaluate
from training.policy import Policy, configured_policy

# Columns: bicycle, motorcycle, other.
PROBABILITIES = np.array(
    [
        [0.90, 0.05, 0.05],  # a bicycle, right
        [0.30, 0.60, 0.10],  # a bicycle taken for a motorcycle
        [0.10, 0.85, 0.05],  # a motorcycle, right
        [0.05, 0.25, 0.70],  # a motorcycle taken for something else
        [0.05, 0.05, 0.90],  # a house
        [0.75, 0.05, 0.20],  # a house taken for a bicycle
    ]
)
TRUTH = np.array([0, 0, 1, 1, 2, 2])


def test_accuracy_compares_vehicles_and_leaves_other_out():
    assert metrics.accuracy(PROBABILITIES, TRUTH) == 3 / 4
    assert metrics.accuracy_with_other(PROBABILITIES, TRUTH) == 3 / 6


def test_a_threshold_gives_coverage_error_and_accepted_others():
    low = metrics.at_threshold(PROBABILITIES, TRUTH, 0.5)
    assert (low.coverage, low.error_accepted, low.other_accepted) == (3 / 4, 1 / 3, 1 / 2)
    high = metrics.at_threshold(PROBABILITIES, TRUTH, 0.8)
    assert (high.coverage, high.error_accepted, high.other_accepted) == (1 / 2, 0.0, 0.0)


def test_auroc_counts_the_pairs_in_the_right_order():
    # Scores of vehicles .95 .90 .95 .30, of others .10 .80: of 8 pairs one is in the wrong order.
    assert metrics.auroc(PROBABILITIES, TRUTH) == 7 / 8


def test_auroc_tells_near_certain_probabilities_apart():
    tiny = np.array([[1 - 1e-12, 0, 1e-12], [1 - 1e-9, 0, 1e-9]])
    assert metrics.auroc(tiny, np.array([0, 2])) == 1.0


def test_ece_is_the_gap_between_confidence_and_accuracy():
    sure = np.array([[0.99, 0.005, 0.005]] * 4)
    assert metrics.ece(sure, np.array([0, 0, 1, 1])) == pytest.approx(0.49)
    assert metrics.ece(sure, np.array([0, 0, 0, 0])) == pytest.approx(0.01)


def test_figures_without_photos_are_not_numbers():
    assert math.isnan(metrics.auroc(PROBABILITIES[:4], TRUTH[:4]))
    assert math.isnan(metrics.ece(PROBABILITIES[4:], TRUTH[4:]))


def noisy(count: int, seed: int, others: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are true as they stand: classes are drawn from their softmax; the last `others` rows are `other`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (count, 3))
    logits[:, 2] -= 4
    if others:
        logits[-others:, 2] += 8
    return logits, np.array([generator.choice(3, p=row) for row in metrics.softmax(logits)])


def test_the_temperature_undoes_overconfidence():
    logits, truth = noisy(6000, 0, others=3000)
    weights = np.ones(len(truth)) / len(truth)
    assert calibrate(logits * 3, truth, Policy(), weights).temperature == pytest.approx(3.0, rel=0.15)


def test_other_photos_weigh_what_the_policy_says_they_are_of_all_uploads():
    weights = mixture_weights(np.array([0, 1, 0, 2, 2]), 2, others_share=0.1)
    assert weights.sum() == pytest.approx(1)
    assert weights[3:].sum() == pytest.approx(0.1)


def test_the_chosen_point_keeps_the_policy_on_photos_that_did_not_choose_it():
    policy = Policy()
    chosen = choose(operating_points(*noisy(3000, 1, others=800), policy), policy)
    assert chosen.wrong_upper <= policy.wrong_at_most
    logits, truth = noisy(40_000, 2, others=10_000)
    probabilities = metrics.softmax(logits)
    taken = metrics.accepted(probabilities, chosen.threshold)
    weights = mixture_weights(truth, 2, policy.others_share)
    wrong = probabilities.argmax(axis=1) != truth
    assert (weights * (wrong & taken)).sum() / (weights * taken).sum() <= policy.wrong_at_most * 1.2


def test_two_samples_of_the_same_photos_give_nearly_the_same_threshold():
    policy = Policy()
    found = [choose(operating_points(*noisy(3000, seed, others=800), policy, seed), policy) for seed in (3, 4)]
    assert abs(found[0].threshold - found[1].threshold) <= 0.02


def test_a_stricter_policy_never_lowers_the_threshold():
    data = noisy(3000, 5, others=800)
    chosen = [choose(operating_points(*data, policy), policy) for policy in (Policy(0.02), Policy(0.01), Policy(0.003))]
    assert [point.threshold for point in chosen] == sorted(point.threshold for point in chosen)
    assert chosen[0].threshold < chosen[-1].threshold


def test_when_no_threshold_keeps_the_policy_the_highest_is_taken():
    hopeless = np.zeros((100, 3)), np.arange(100) % 3
    policy = Policy()
    assert choose(operating_points(*hopeless, policy), policy).threshold == THRESHOLDS[-1]


def test_without_photos_of_other_things_nothing_is_said_about_them():
    logits, truth = noisy(500, 6)
    rows = truth < 2
    point = operating_points(logits[rows], truth[rows], Policy())[0]
    assert (point.others_accepted, point.others_accepted_upper) == (None, None)


@pytest.mark.parametrize("line", ["wrong_at_most = 0", "others_share = 1.5", "others_share = true", "wrong = 0.01"])
def test_a_policy_that_makes_no_sense_is_refused(tmp_path, line):
    (tmp_path / "vehicles.toml").write_text(f"[policy]\n{line}\n")
    with pytest.raises(ValueError, match=line.split()[0]):
        configured_policy(tmp_path / "vehicles.toml")


def test_the_report_has_every_key_and_null_for_what_cannot_be_computed():
    report = evaluate(
        PROBABILITIES[:4], TRUTH[:4], 0.8, np.array(["bicycle"] * 2 + ["motorcycle"] * 2), ["a/b.jpg"], 20
    )
    for key in ("accuracy", "accuracy_with_other", "ece", "coverage", "error_accepted"):
        assert isinstance(report[key], float)
        low, high = report["intervals"][key]
        assert low <= high
    assert report["auroc"] is None
    assert report["other_accepted"] is None
    assert report["intervals"]["auroc"] == [None, None]
    assert report["threshold"] == 0.8
    assert [row["threshold"] for row in report["thresholds"]] == [round(0.5 + i / 100, 2) for i in range(50)]
    assert report["classes"]["bicycle"]["photos"] == 2
    assert (report["unreadable"], report["unreadable_files"]) == (1, ["a/b.jpg"])
