"""What the data say of each parameter, and which combinations they leave open.

    cov = sigma^2 (J^T J)^-1,      J = dr/dx at the best fit

through the singular values of J, its columns in units of each parameter's own size: |x| where it can only be positive
(so that an error of 1 is one of 100 %), a decade where it is logarithmic, else half of its bounds' distance. A
direction is open where its singular value is nothing beside the largest, or where its error exceeds 1. A parameter is
at its bound where the fit would leave it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hfsim.parameters import ParameterSpec

SINGULAR = 1e-8
"""Singular value over the largest below which a direction is none; chosen: the Jacobian is exact to 1e-12."""
UNCERTAIN = 1.0
"""Error of a direction, in sizes of its parameters, from which it counts as open."""
_NAMED = 0.2  # component of an open direction from which a parameter is named
_TAKES_PART = 1e-3  # component of a singular direction from which a parameter has no error of its own
LEANS = 1e-3  # cosine between the residuals and a parameter's slopes beyond which a fit has not ended there
_NEAR = 0.01  # of the way between bounds, or of a single one's unit


class Identification(NamedTuple):
    """What is known of the parameters.

    Args:
        errors: standard error of each, in its unit; infinite where the data leave it open.
        correlation: of the errors; NaN where there is none.
        covariance: of those that have errors, in their units; NaN elsewhere.
        flags: lines on what is open or at a bound.
        rank: number of directions that the data tell.
        lean: largest cosine between the residuals and the slopes of a parameter that is not at a bound.
    """

    errors: Float[np.ndarray, " free"]
    correlation: Float[np.ndarray, "free free"]
    covariance: Float[np.ndarray, "free free"]
    flags: tuple[str, ...]
    rank: int
    lean: float


def size(value: float, spec: ParameterSpec) -> float:
    """The natural size of a parameter."""
    if spec.logarithmic:
        return value * float(np.log(10.0))
    if spec.lower >= 0 and value > 0:
        return value
    if np.isfinite(spec.upper - spec.lower):
        return 0.5 * (spec.upper - spec.lower)
    return max(abs(value), 1.0)


def identify(
    J: Float[np.ndarray, "points free"],
    r: Float[np.ndarray, " points"],
    sigma: float,
    values: Float[np.ndarray, " free"],
    specs: list[ParameterSpec],
    labels: list[str],
) -> Identification:
    """Errors and open directions at a best fit.

    Args:
        J: slopes of the residuals by the parameters, in their units.
        r: residuals.
        sigma: standard deviation of a residual; infinite where it is not known.
        values: of the parameters.
        specs: their declarations with the bounds of the fit.
        labels: their names.
    """
    sizes = np.array([size(v, s) for v, s in zip(values, specs, strict=True)])
    _, singular, directions = np.linalg.svd(J * sizes, full_matrices=True)
    singular = np.concatenate([singular, np.zeros(len(values) - len(singular))])
    told = singular > SINGULAR * max(singular[0], np.finfo(float).tiny)
    inverse = np.where(told, 1 / np.where(told, singular, 1.0), 0.0)
    noise_known = bool(np.isfinite(sigma))
    sigma = sigma if noise_known else 1.0
    scaled = (directions.T * (sigma * inverse) ** 2) @ directions
    lost = np.any(np.abs(directions[~told]) > _TAKES_PART, axis=0)
    deviation = np.sqrt(np.diag(scaled))
    deviation[lost] = np.inf
    known = ~lost & (deviation > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(np.outer(known, known), scaled / np.outer(deviation, deviation), np.nan)
    np.fill_diagonal(correlation, 1.0)
    covariance = np.where(np.outer(~lost, ~lost), scaled * np.outer(sizes, sizes), np.nan)
    flags = [
        _open_direction(direction, labels, told[i], sigma * inverse[i])
        for i, direction in enumerate(directions)
        if not told[i] or (noise_known and sigma * inverse[i] > UNCERTAIN)
    ]
    if not noise_known:
        deviation, covariance = np.full_like(deviation, np.inf), np.full_like(covariance, np.nan)
    slopes = J.T @ r
    leans = np.abs(slopes) / np.maximum(np.linalg.norm(J, axis=0) * np.linalg.norm(r), np.finfo(float).tiny)
    bounds = [_pressed(v, s, slope) for v, s, slope in zip(values, specs, slopes, strict=True)]
    held = np.array([bound is not None for bound in bounds]) & (leans > LEANS)
    flags += [
        f"at its bound: {label} = {bound:g} {spec.unit}; widen it, or fix the parameter"
        for label, bound, spec, stuck in zip(labels, bounds, specs, held, strict=True)
        if stuck
    ]
    lean = float(np.max(np.where(held, 0.0, leans), initial=0.0))
    return Identification(deviation * sizes, correlation, covariance, tuple(flags), int(np.sum(told)), lean)


def _open_direction(direction, labels: list[str], told: bool, error: float) -> str:
    named = [i for i in np.argsort(-np.abs(direction)) if abs(direction[i]) >= _NAMED]
    if direction[named[0]] < 0:
        direction = -direction
    how = f"is uncertain by {error:.0%} of their size" if told else "is not in the data"
    if len(named) == 1:
        how = how.replace("their", "its")
        return f"not identified: {labels[named[0]]} {how}"
    terms = " ".join(f"{direction[i]:+.2f} {labels[i]}" for i in named)
    of = ", ".join(labels[i] for i in named)
    return f"not identified: the combination {terms} (in sizes of each) {how}; fix one of {of}"


def _pressed(value: float, spec: ParameterSpec, slope: float) -> float | None:
    """The bound that a parameter is next to and that a smaller sum of squares, of this slope, lies behind."""
    bound = spec.lower if slope > 0 else spec.upper
    if not np.isfinite(bound):
        return None
    low, high, place, end = spec.lower, spec.upper, value, bound
    if spec.logarithmic:
        low, high, place, end = np.log(low), np.log(high), np.log(value), np.log(bound)
    reach = high - low if np.isfinite(high - low) else 1.0
    return bound if abs(place - end) <= _NEAR * reach else None
