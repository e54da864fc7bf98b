"""Fit the head's correction: a convex problem, solved in a second."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from training.head import Head
from training.metrics import Floats, Ints

ITERATIONS = 500


def fit_head(
    start: Head,
    features: NDArray[np.float32],
    imagenet: NDArray[np.float32],
    truth: Ints,
    weights: Floats,
    penalty: float,
    bias_penalty: float = 0.0,
) -> Head:
    """Return the head with the least weighted cross-entropy plus `penalty` / 2 times the squared step from `start`.

    `bias_penalty` does the same for the step of the bias, which is free by default. `features` (N, VIEWS, D) and
    `imagenet` (N, VIEWS, C) are the backbone's; each view of a picture is an example of its own. `truth` (N,) holds
    each picture's class; `weights` (N,) how much it counts, in any unit. Convex: the result does not depend on chance.
    """
    views, width = features.shape[1:]
    features, imagenet = features.reshape(-1, width), imagenet.reshape(-1, imagenet.shape[-1])
    truth, weights = np.repeat(truth, views), np.repeat(weights, views)
    anchor = start.logits_of_views(features, imagenet)
    count = len(features)
    inputs = np.concatenate([features.astype(np.float64), np.ones((count, 1))], axis=1)
    share = weights / weights.sum()
    rows = np.arange(count)

    penalties = np.append(np.full(width, penalty), bias_penalty)

    def objective(flat: Floats) -> tuple[float, Floats]:
        step = flat.reshape(anchor.shape[1], width + 1)
        logits = anchor + inputs @ step.T
        normaliser = logsumexp(logits, axis=1)
        loss = float(share @ (normaliser - logits[rows, truth])) + float((step**2 @ penalties).sum()) / 2
        slope = np.exp(logits - normaliser[:, None])
        slope[rows, truth] -= 1.0
        gradient = (slope * share[:, None]).T @ inputs
        gradient += penalties * step
        return loss, gradient.ravel()

    found = minimize(
        objective, np.zeros(anchor.shape[1] * (width + 1)), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}
    )
    step = found.x.reshape(anchor.shape[1], width + 1)
    return Head(start.classes, start.groups, start.weights + step[:, :width], start.bias + step[:, width])
