"""Levels of a transfer as a design sees them: misreads between neighbours, error of the weights, energy, damage.

    misread_i = Phi[-(G_{i+1} - G_i)/(sigma_i + sigma_{i+1})],      worst = smoothed maximum over i, mean of order p
    rmse      = sqrt{mean_i [7 (G_i - G_0)/(G_7 - G_0) - i]^2 + [7 sigma_i/(G_7 - G_0)]^2}      in level units

at thresholds as many sigmas from one level as from its neighbour. Of eight equal steps in the published window the
worst misread is 20.0 % at the published spread, of the published levels 32 %. Martemucci et al., Nature Electronics 8,
921 (2025).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.circuits.transfer_line import TransferLine, code_bits
from hfsim.devices.breakdown import DielectricBreakdown


def gaps(levels: Float[Array, " 8"], sigma) -> Float[Array, " 7"]:
    """Distances between neighbouring levels, in mean sigmas of both; `levels` and `sigma` (one, or of each) in uS."""
    sigma = jnp.broadcast_to(sigma, levels.shape)
    return 2 * jnp.diff(levels) / (sigma[1:] + sigma[:-1])


def misreads(levels: Float[Array, " 8"], sigma) -> Float[Array, " 7"]:
    """Probability that a level is read as its neighbour; `levels` and `sigma` (one, or of each) in uS."""
    return jax.scipy.stats.norm.cdf(-gaps(levels, sigma) / 2)


def worst_misread(levels: Float[Array, " 8"], sigma, order: float = 16.0) -> Float[Array, ""]:
    """The largest of the misreads, smoothed, differentiable at ties: below it by at most a factor of 7^(1/order)."""
    logarithms = jax.scipy.stats.norm.logcdf(-gaps(levels, sigma) / 2)
    return jnp.exp((jax.scipy.special.logsumexp(order * logarithms) - jnp.log(7.0)) / order)


def smallest_gap(levels: Float[Array, " 8"], sigma) -> Float[Array, ""]:
    """Smallest distance between neighbouring levels, in sigmas."""
    return jnp.min(gaps(levels, sigma))


def weight_error(levels: Float[Array, " 8"], sigma) -> Float[Array, ""]:
    """Root mean square error of a weight in level units: levels off their places, and the spread."""
    span = jnp.maximum(levels[-1] - levels[0], jnp.mean(sigma))  # a window below the spread holds no weight
    off = 7 * (levels - levels[0]) / span - jnp.arange(8)
    return jnp.sqrt(jnp.mean(off**2 + (7 * sigma / span) ** 2))


def spread(line: TransferLine, own: Float[Array, ""], exponent, reference) -> Float[Array, " 8"]:
    """Standard deviation [uS] of each level: the memristor's own, own (G/reference)^exponent, and what mismatch makes.

    An exponent of 0 is the published spread, the same at all levels; `own` and `reference` in uS. Mismatch of the
    minimum cells' charges and of the transistor's threshold: half the difference of levels one deviation up and down.
    """
    bits = code_bits(jnp.arange(8))
    charge = line.switchable_charge(bits)
    cells = jnp.sum(bits * line.cells, axis=-1)
    by_charge = line.capacitor.P_r_spread * line.capacitor.switching_charge * jnp.sqrt(jnp.maximum(cells, 1e-6))
    by_charge = jnp.where(cells > 0, by_charge, 0.0)
    by_threshold = line.transistor.threshold_spread

    def levels(charge, above):
        transistor = eqx.tree_at(lambda t: t.V_T0, line.transistor, line.transistor.V_T0 + above)
        return line.memristor.mean_conductance(line.compliance_current(line.line_voltage(charge), transistor))

    signs = jnp.array([0.0, 1.0, -1.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 0.0, 1.0, -1.0])
    moved = charge + signs[0][:, None] * by_charge, signs[1] * by_threshold
    nominal, *ends = jax.vmap(levels)(*moved)  # one program for all
    level = jnp.maximum(nominal, 0.01 * reference)
    charges, thresholds = 0.5 * (ends[0] - ends[1]), 0.5 * (ends[2] - ends[3])
    return jnp.sqrt((own * (level / reference) ** exponent) ** 2 + charges**2 + thresholds**2)


def window_error(levels: Float[Array, " 8"], low, high) -> Float[Array, ""]:
    """How far the outer levels lie from `low` and `high` [uS], the root of the squares over the window."""
    off = jnp.stack([levels[0] - low, levels[-1] - high]) / (high - low)
    return jnp.sqrt(jnp.sum(off**2) + 1e-12)


def transfer_energy(line: TransferLine) -> Float[Array, ""]:
    """Mean energy of a SET and of the pulse on the capacitors [fJ], codes alike.

    (V_SET - V_BL) I_cc t + V_SL (C_L V_TL), as `hfsim.hybrid.HybridCosts` counts them.
    """
    V_TL = line.line_voltages()
    drive = line.drive
    current = line.compliance_current(V_TL)
    return jnp.mean((drive.V_SET - drive.V_BL) * current * drive.width + drive.V_SL * line.line.C_L * V_TL)


def damage(line: TransferLine, breakdown: DielectricBreakdown) -> Float[Array, ""]:
    """Breakdown damage D of one transfer's pulse to all three capacitors, at the full voltage."""
    area = line.capacitor.S * jnp.sum(line.cells)
    return breakdown.damage(line.capacitor.film_field(line.drive.V_SL, 0.0), line.drive.width, area)
