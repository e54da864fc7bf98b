"""The confidence interval of a share, without SciPy, which is too large for a Lambda layer."""

import math

CONFIDENCE = 0.95
_ITERATIONS = 500
_PRECISION = 1e-12
_TINY = 1e-300


def clopper_pearson(errors: float, number: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval of a share of which `errors` of `number` were observed; both may be fractions.

    Its coverage is at least `confidence` for every share (Clopper and Pearson, Biometrika 26, 1934).
    `make simulate-audit` compares it with shorter intervals.

    >>> clopper_pearson(0, 0)
    (0.0, 1.0)
    >>> lower, upper = clopper_pearson(3, 600)
    >>> round(lower, 5), round(upper, 5)
    (0.00103, 0.01454)
    """
    tail = (1 - confidence) / 2
    lower = _beta_quantile(tail, errors, number - errors + 1) if errors > 0 else 0.0
    upper = _beta_quantile(1 - tail, errors + 1, number - errors) if errors < number else 1.0
    return lower, upper


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of the beta distribution, by bisection."""
    low, high = 0.0, 1.0
    while high - low > _PRECISION:
        middle = (low + high) / 2
        if _beta_probability(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_probability(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function (Press et al., Numerical Recipes, 3rd edition, 6.4)."""
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _continued_fraction(x, a, b) / a
    return 1 - math.exp(log_front) * _continued_fraction(1 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _ITERATIONS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            d = 1 / _nonzero(1 + numerator * d)
            c = _nonzero(1 + numerator / c)
            fraction *= c * d
        if abs(c * d - 1) < _PRECISION:
            return fraction
    raise ArithmeticError(f"the incomplete beta function of {x}, {a}, {b} does not converge")


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
