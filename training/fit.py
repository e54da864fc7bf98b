"""Fit the head's linear correction, a convex problem that L-BFGS solves in about a second."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from training.head import Head
from training.metrics import Floats, Ints

MAX_ITERATIONS = 500


def fit_head(
    start: Head,
    features: NDArray[np.float32],
    imagenet: NDArray[np.float32],
    truth: Ints,
    weights: Floats,
    l2_penalty: float,
    bias_l2_penalty: float = 0.0,
) -> Head:
    """Return the head with the least weighted cross-entropy plus an L2 penalty on its step from `start` (L2-SP).

    The penalty is `l2_penalty` / 2 times the squared step of the weights, and `bias_l2_penalty` / 2 times that of the
    biases. `features` (N, VIEWS, D) and `imagenet` (N, VIEWS, 1000) come from the backbone; each view is an example of
    its own. `truth` (N,) is the index of each image's class; `weights` (N,) are relative. The result is deterministic.
    """
    views, width = features.shape[1:]
    features, imagenet = features.reshape(-1, width), imagenet.reshape(-1, imagenet.shape[-1])
    truth, weights = np.repeat(truth, views), np.repeat(weights, views)
    start_logits = start.view_logits(features, imagenet)
    classes, count = start_logits.shape[1], len(features)
    inputs = np.concatenate([features.astype(np.float64), np.ones((count, 1))], axis=1)
    weights = weights / weights.sum()
    rows = np.arange(count)
    penalties = np.append(np.full(width, l2_penalty), bias_l2_penalty)

    def objective(flat: Floats) -> tuple[float, Floats]:
        step = flat.reshape(classes, width + 1)
        logits = start_logits + inputs @ step.T
        log_normaliser = logsumexp(logits, axis=1)
        loss = float(weights @ (log_normaliser - logits[rows, truth])) + float((step**2 @ penalties).sum()) / 2
        residuals = np.exp(logits - log_normaliser[:, None])
        residuals[rows, truth] -= 1.0
        gradient = (residuals * weights[:, None]).T @ inputs
        gradient += penalties * step
        return loss, gradient.ravel()

    found = minimize(
        objective, np.zeros(classes * (width + 1)), jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS}
    )
    step = found.x.reshape(classes, width + 1)
    return Head(start.classes, start.groups, start.weights + step[:, :width], start.bias + step[:, width])
