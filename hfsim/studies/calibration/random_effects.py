"""Means and spreads of devices and of cycles from what each curve tells, by restricted maximum likelihood.

Curve t of device i has parameters u_t, and its data say of them, about the best fit, exp(-u' H_t u/2 + u' h_t):

    u_t = m_i + N(0, C),      m_i = mu + N(0, D)

C is the spread from cycle to cycle, D that from device to device. Integrals over u_t, m_i and mu are closed, so that

    A_t = H_t (1 + C H_t)^-1,   a_t = (1 + H_t C)^-1 h_t;    A_i, a_i = sums over the device's curves
    B_i = A_i (1 + D A_i)^-1,   b_i = (1 + A_i D)^-1 a_i;    B, b = sums over devices,   mu = B^-1 b

    2 ln L = sum_t {h_t' (1 + C H_t)^-1 C h_t - ln|1 + C H_t|} + sum_i {a_i' (1 + D A_i)^-1 D a_i - ln|1 + D A_i|}
             + b' mu - ln|B|

No inverse of H, C or D occurs: a curve may leave parameters open, and spreads may be 0. Errors of the fits are in H,
so they are not taken for spread, as they are where deviations of fitted values are quoted. L is restricted (REML): the
mean is integrated out, and for balanced data of one parameter the estimates are those of the analysis of variance.

H. D. Patterson, R. Thompson, Biometrika 58, 545 (1971); N. M. Laird, J. H. Ware, Biometrics 38, 963 (1982).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize

_STEP = 1e-4  # of a root, in units near the spread
_FLAT = 1e-6  # curvature of ln L, over the largest, below which a spread has no error


class Curves(NamedTuple):
    """What the data of each curve say: quadratic log-likelihoods, and whose curve it is (devices count from 0)."""

    H: Float[Array, "curves free free"]
    h: Float[Array, "curves free"]
    device: Int[Array, " curves"]


class Posterior(NamedTuple):
    """What is known after all curves.

    Args:
        mean, mean_covariance: of the population.
        devices: mean parameters of each device.
        curves, curve_covariance: parameters of each curve.
        log_likelihood: restricted.
    """

    mean: Float[Array, " free"]
    mean_covariance: Float[Array, "free free"]
    devices: Float[Array, "devices free"]
    curves: Float[Array, "curves free"]
    curve_covariance: Float[Array, "curves free free"]
    log_likelihood: Float[Array, ""]


class Spreads(NamedTuple):
    """Covariances of devices and cycles, and errors of the standard deviations; NaN where the likelihood is flat."""

    D: Float[np.ndarray, "free free"]
    C: Float[np.ndarray, "free free"]
    device_errors: Float[np.ndarray, " free"]
    cycle_errors: Float[np.ndarray, " free"]

    @property
    def device(self) -> Float[np.ndarray, " free"]:
        """Standard deviations of devices."""
        return np.sqrt(np.diag(self.D))

    @property
    def cycle(self) -> Float[np.ndarray, " free"]:
        """Standard deviations of cycles."""
        return np.sqrt(np.diag(self.C))


def posterior(D: Float[Array, "free free"], C: Float[Array, "free free"], curves: Curves, devices: int) -> Posterior:
    """Everything at covariances D and C of `devices` devices and of their cycles."""
    one = jnp.eye(D.shape[0])

    def curve(H, h):
        kept = jnp.linalg.inv(one + C @ H)
        value = h @ kept @ C @ h - jnp.linalg.slogdet(one + C @ H)[1]
        return H @ kept, kept.T @ h, kept, value

    A, a, kept, of_curves = jax.vmap(curve)(curves.H, curves.h)
    A_i = jax.ops.segment_sum(A, curves.device, devices)
    a_i = jax.ops.segment_sum(a, curves.device, devices)

    def device(A, a):
        kept = jnp.linalg.inv(one + D @ A)
        value = a @ kept @ D @ a - jnp.linalg.slogdet(one + D @ A)[1]
        return A @ kept, kept.T @ a, kept, value

    B, b, own, of_devices = jax.vmap(device)(A_i, a_i)
    total, right = jnp.sum(B, 0), jnp.sum(b, 0)
    mean_covariance = jnp.linalg.inv(total)
    mean = mean_covariance @ right
    value = jnp.sum(of_curves) + jnp.sum(of_devices) + right @ mean - jnp.linalg.slogdet(total)[1]
    of_device = jax.vmap(lambda kept, a: kept @ (mean + D @ a))(own, a_i)
    device_covariance = jax.vmap(lambda kept: kept @ D + kept @ mean_covariance @ kept.T)(own)
    of_curve = jax.vmap(lambda kept, h, i: kept @ (of_device[i] + C @ h))(kept, curves.h, curves.device)
    covariance = jax.vmap(lambda kept, i: kept @ C + kept @ device_covariance[i] @ kept.T)(kept, curves.device)
    return Posterior(mean, mean_covariance, of_device, of_curve, covariance, 0.5 * value)


class Shape(NamedTuple):
    """How many parameters and devices there are, and the places of the parameters that vary over devices and cycles."""

    free: int
    devices: int
    over_devices: tuple[int, ...]
    over_cycles: tuple[int, ...]

    def roots(self, theta: Float[Array, " spreads"]) -> tuple[Array, Array]:
        """Lower-triangular roots of D and C."""
        split = len(self.over_devices) * (len(self.over_devices) + 1) // 2
        return self._root(theta[:split], self.over_devices), self._root(theta[split:], self.over_cycles)

    def _root(self, theta, varying: tuple[int, ...]) -> Array:
        rows, columns = np.tril_indices(len(varying))
        places = np.array(varying, int)
        return jnp.zeros((self.free, self.free), theta.dtype).at[places[rows], places[columns]].set(theta)

    def start(self, deviation: float) -> Float[np.ndarray, " spreads"]:
        """Independent spreads of this standard deviation."""
        parts = [np.eye(len(v))[np.tril_indices(len(v))] for v in (self.over_devices, self.over_cycles)]
        return deviation * np.concatenate(parts)


def estimate(curves: Curves, shape: Shape, theta: Float[np.ndarray, " spreads"]) -> Float[np.ndarray, " spreads"]:
    """Roots of the spreads of largest restricted likelihood, from a start; parameters in units near their spread."""
    if not theta.size:
        return theta

    def judged(theta):
        value, gradient = _slope(jnp.asarray(theta), curves, shape)
        return float(value), np.asarray(gradient)

    return minimize(judged, theta, jac=True, method="BFGS", options={"gtol": 1e-5, "maxiter": 500}).x


def spreads(curves: Curves, shape: Shape, theta: Float[np.ndarray, " spreads"]) -> Spreads:
    """Covariances at the largest likelihood, with the errors of the standard deviations from its curvature."""
    D, C = (np.asarray(root) for root in shape.roots(jnp.asarray(theta)))
    errors = np.zeros(2 * shape.free)
    if theta.size:
        values, vectors = np.linalg.eigh(_curvature(theta, curves, shape))
        flat = values <= _FLAT * max(float(values[-1]), 0.0)
        covariance = (vectors / np.where(flat, np.inf, values)) @ vectors.T
        J = np.concatenate(list(_slopes_of_deviations(theta, shape)))
        errors = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", J, covariance, J), 0.0))
        errors[np.any(np.abs(J @ vectors[:, flat]) > 1e-6, axis=1)] = np.nan
    return Spreads(D @ D.T, C @ C.T, errors[: shape.free], errors[shape.free :])


def _lost(theta, curves: Curves, shape: Shape):
    D, C = shape.roots(theta)
    return -posterior(D @ D.T, C @ C.T, curves, shape.devices).log_likelihood


_slope = jax.jit(jax.value_and_grad(_lost), static_argnums=2)


def _curvature(theta: np.ndarray, curves: Curves, shape: Shape) -> np.ndarray:
    """Second derivatives of -ln L, by differences of its slopes."""
    steps = _STEP * np.eye(theta.size)
    ends = [[np.asarray(_slope(jnp.asarray(theta + sign * d), curves, shape)[1]) for sign in (1, -1)] for d in steps]
    curvature = np.array([(up - down) / (2 * _STEP) for up, down in ends])
    return 0.5 * (curvature + curvature.T)


def _slopes_of_deviations(theta: np.ndarray, shape: Shape):
    """d sigma_k/d theta of devices, then of cycles: sigma_k is the length of row k of the root."""
    start = 0
    for varying in (shape.over_devices, shape.over_cycles):
        rows, _ = np.tril_indices(len(varying))
        part = theta[start : start + len(rows)]
        J = np.zeros((shape.free, theta.size))
        for place, row in enumerate(rows):
            deviation = np.sqrt(np.sum(part[rows == row] ** 2))
            J[varying[row], start + place] = part[place] / deviation if deviation > 0 else 0.0
        yield J
        start += len(rows)
