"""What a chip spends in ten years: pulses and verifying reads of its programming, and the reads of its use.

    E = sum_devices {p(G) e(G) + [p(G) + 1] G V_read^2 t_read} + N sum_ij <x_i^2> G_ij V_read^2 t_read
    p(G) = A(G) + C(G)/a,      e(G) = [V I(V_SET) + V I(V_RESET)]/2 x width

p, the mean number of pulses to the acceptance a, is fitted: A and C of each of `LEVELS` by least squares to counts that
the write-verify loop makes on the pulsed card (`PulsedProgramming`, which has 89 and 9 pulses where 89 and 11 are
published), straight lines between. e is the compact model's, SET and RESET taken to be equally frequent, the flat part
of the pulse alone. Converters and digital logic are left out: nothing of them is published, and no choice here changes
them.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from hfsim.cards import load_card
from hfsim.crossbar.write_verify import PhysicalProgramming, PulsedProgramming
from hfsim.draws import address, stream
from hfsim.errors import InputError
from training.codesign.ten_years_model import CARD, LIFE, Planned, Task, drives

PULSED_CARD = "cmo-hfox-2025-pulsed"
LEVELS = (9.5, 11.0, 13.0, 16.0, 20.0, 26.0, 34.0, 42.0, 50.0, 58.0, 66.0, 74.0, 80.0, 84.0, 87.0)
"""Conductances [uS] at which programming is simulated: closer where counts change faster."""
ACCEPTANCES = (0.2, 0.4, 0.8, 1.4, 2.0)
"""Per cent: the published range."""
DEVICES = 400
"""Devices of each level and acceptance: 5 % on a mean count, whose deviation is about the mean."""
LIMIT = 6000
"""Most pulses of a device; all arrive."""
PER_DAY = 6.0
"""Uses of the network (chosen: so that ten years of reads and the programming are of one order)."""
DAY = 86400.0
MICROJOULE = 1e6
"""pJ in a uJ."""


class Counts(eqx.Module):
    """Mean number of pulses to a target, from a fresh device: A(G) + C(G)/a."""

    approach: Float[Array, " levels"]
    search: Float[Array, " levels"]

    def pulses(self, target: Float[Array, "*devices"], acceptance) -> Float[Array, "*devices"]:
        """At `target` [uS] and `acceptance` [per cent]."""
        levels = jnp.asarray(LEVELS, target.dtype)
        approach, search = (jnp.interp(target, levels, values) for values in (self.approach, self.search))
        return approach + search / acceptance


def simulated_counts(key: Key[Array, ""], devices: int = DEVICES) -> Float[np.ndarray, "acceptances levels"]:
    """Mean pulses of the write-verify loop on the pulsed card.

    Raises:
        InputError: a device did not arrive.
    """
    card = load_card(PULSED_CARD)
    targets = jnp.broadcast_to(jnp.asarray(LEVELS)[:, None], (len(LEVELS), devices))
    found = []
    for number, acceptance in enumerate(ACCEPTANCES):
        loop = PulsedProgramming.from_card(card, acceptance, limit=LIMIT)
        done = loop.program(address(stream(key, "counts"), number), targets)
        if np.any(np.asarray(done.result)):
            raise InputError("limit", "let every device arrive", LIMIT)
        found.append(np.asarray(done.pulses).mean(axis=1))
    return np.stack(found)


def fitted(counts: Float[np.ndarray, "acceptances levels"]) -> Counts:
    """A and C of each level by least squares of the relative error, neither below 0."""
    approach, search = [], []
    for column in np.asarray(counts, float).T:
        rows = np.stack([np.ones(len(ACCEPTANCES)), 1 / np.asarray(ACCEPTANCES)], axis=1) / column[:, None]
        A, C = np.linalg.lstsq(rows, np.ones(len(ACCEPTANCES)), rcond=None)[0]
        if A < 0:
            A, C = 0.0, float(rows[:, 1] @ np.ones(len(rows)) / (rows[:, 1] @ rows[:, 1]))
        approach.append(A)
        search.append(C)
    return Counts(jnp.asarray(approach), jnp.asarray(search))


class Costs(eqx.Module):
    """Prices of pulses and reads."""

    counts: Counts
    pulse_energy: Float[Array, " levels"]
    read_energy: Float[Array, ""]

    @classmethod
    def of(cls, counts: Counts) -> "Costs":
        """With the card's pulses [pJ each at `LEVELS`] and reads [pJ/uS each]."""
        card = load_card(CARD)
        loop = PhysicalProgramming.from_card(card)
        cell: Any = loop.cell
        state = cell.at_conductance(jnp.asarray(LEVELS), temperature=loop.temperature)
        energies = []
        for pulse in (loop.set_pulse, loop.reset_pulse):
            current = cell.operating_point(state, pulse.voltage, temperature=loop.temperature)[0]
            energies.append(pulse.voltage * current * pulse.width * 1e-3)  # fJ to pJ
        width = 1e-3 * card.quantity("retention", "t_read", "ns")
        return cls(counts, (energies[0] + energies[1]) / 2, card.quantity("crossbar", "V_read", "V") ** 2 * width)

    def programming(self, target: Float[Array, "*devices"], acceptance) -> Float[Array, "*devices"]:
        """Energy [pJ] to bring devices to their targets [uS]."""
        return self.of_pulses(target, self.counts.pulses(target, acceptance))

    def of_pulses(self, target: Float[Array, "*devices"], pulses) -> Float[Array, "*devices"]:
        """Energy [pJ] of so many pulses and their verifying reads near `target` [uS]."""
        each = jnp.interp(target, jnp.asarray(LEVELS, target.dtype), self.pulse_energy)
        return pulses * each + (pulses + 1) * target * self.read_energy

    def reading(self, drive: Float[Array, " rows"], G: Float[Array, " rows"]) -> Float[Array, ""]:
        """Energy [pJ] of all uses in ten years: mean squares of the rows' inputs, their conductances as programmed."""
        return PER_DAY * LIFE / DAY * self.read_energy * jnp.sum(drive * G)

    def of_design(self, it: Planned, task: Task) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Energy [uJ] of programming and of reading a design's network for ten years, reference columns included."""
        model = it.model
        target, reference = ravel_pytree(it.targets)[0], it.reference
        rows = sum(len(W) for W in it.targets) * model.references
        programming = jnp.sum(self.programming(target, model.acceptance))
        programming = programming + rows * self.programming(reference, model.acceptance)
        reading = jnp.asarray(0.0)
        for G, drive in zip(it.targets, drives(it.network, task.judged_images), strict=True):
            reading = reading + self.reading(drive, jnp.sum(G, axis=1) + model.references * reference)
        return programming / MICROJOULE, reading / MICROJOULE


def energy(costs: Costs, task: Task):
    """Measure: energy of ten years [uJ]; nothing is drawn."""

    def measure(it: Planned, key: Key[Array, ""]) -> Float[Array, ""]:
        return sum(costs.of_design(it, task), jnp.asarray(0.0))

    return measure
