"""The transfer of the hybrid memory as a design: what is free, what it is judged by, and chips to check it with."""

from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import hfsim
from hfsim.circuits.transfer_line import TransferLine, code_bits
from hfsim.devices import DielectricBreakdown
from hfsim.draws import stream
from hfsim.hybrid import CircuitTransfer, transfer_line
from hfsim.studies import Design, Expectation, Objective, SquaredNorm, Term, Variable
from hfsim.studies import staircase as stairs

CARD = "cea-leti-2025-hybrid"
MECHANISMS = ("saturation", "starvation")
LOW, HIGH = 1.4, 103.9
"""Outer levels of the published window [uS]."""
SUPPLY = 4.8
"""Highest voltage of the chip [V], stated: word lines."""
_ERROR = 0.02
"""Weight of the weight error beside the logarithm of the worst misread, chosen: it decides between designs of about the
same misread, and costs no hundredth of a sigma."""
_WINDOW = 0.005
"""Share of the window by which its ends may move, chosen: half a uS, a seventeenth of the spread."""
_VARIABLES = (
    # chosen: areas within a factor of four of the chip's, lithography in hundredths of the minimum cell; voltages from
    # a converter of 10 mV; pulses of a 100 MHz clock, within a decade of the published 10 us, at which the drop over
    # the growing filament, V_C, was inferred; the grid of a 130 nm technology
    Variable("cells", 0.25, 16.0, grid=0.01),
    Variable("drive.V_SL", 2.0, SUPPLY, grid=0.01),
    Variable("drive.V_BL", -2.5, 0.0, grid=0.01),
    Variable("drive.V_SET", 1.0, SUPPLY, grid=0.01),
    Variable("drive.width", 1e3, 1e5, grid=10.0),
    Variable("transistor.W", 0.2, 10.0, grid=0.01),
)


def published(mechanism: str) -> TransferLine:
    """The chip as it was made."""
    return transfer_line(hfsim.load_card(CARD), mechanism)


def design(mechanism: str) -> Design:
    """Areas, voltages, width of the pulse and of the transistor are free; the same each time, with its programs."""
    return _design(mechanism, jnp.result_type(float))


@cache
def _design(mechanism: str, dtype) -> Design:
    return Design(published(mechanism), _VARIABLES)


def sigma() -> float:
    """Published spread of a transfer [uS]."""
    return float(hfsim.load_card(CARD).quantity("levels", "sigma", "uS"))


def _breakdown() -> DielectricBreakdown:
    return hfsim.load_card(CARD).build(DielectricBreakdown, "breakdown")


def _limits(mechanism: str) -> list[Term]:
    """Supply, wear and energy of the published transfer are not exceeded; the same terms each time, compiled once."""
    return _limits_in(mechanism, jnp.result_type(float))


@cache
def _limits_in(mechanism: str, dtype) -> list[Term]:
    line, film = published(mechanism), _breakdown()
    energy, damage = float(stairs.transfer_energy(line)), float(stairs.damage(line, film))
    return [
        Term("energy", lambda m, key: stairs.transfer_energy(m), 0.0, limit=energy, penalty=10.0),
        Term("damage", lambda m, key: stairs.damage(m, film), 0.0, limit=damage, penalty=1.0),
        Term("supply", lambda m, key: m.drive.V_SET - m.drive.V_BL, 0.0, limit=SUPPLY, penalty=10.0),
    ]


ORDERS = (16.0, 64.0)
"""Of the smoothed worst misread, one search after the other, chosen: from far off a sharp maximum stops a search at its
first edge; at the end a soft one leaves gaps uneven."""


class LogMisread(eqx.Module):
    """Measure: ln of the worst misread; a logarithm: a search feels the same slope at 30 and at 20 %."""

    spread: Callable[[TransferLine], Any]
    order: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __call__(self, line: TransferLine, key):
        return jnp.log(stairs.worst_misread(line.levels(), self.spread(line), self.order))


class WeightError(eqx.Module):
    """Measure: root mean square error of a weight, in levels."""

    spread: Callable[[TransferLine], Any]

    def __call__(self, line: TransferLine, key):
        return stairs.weight_error(line.levels(), self.spread(line))


class Published(eqx.Module):
    """Spread [uS] of a transfer: one for all levels."""

    def __call__(self, line: TransferLine):
        return sigma()


class Free(eqx.Module):
    """Spread [uS] of each level of a line: the memristor's own follows G^exponent, mismatch the areas."""

    own: Float[Array, ""]
    exponent: Float[Array, ""]

    @eqx.filter_jit
    def __call__(self, line: TransferLine):
        return stairs.spread(line, self.own, self.exponent, 0.5 * (LOW + HIGH))


def _ends(line, key):
    """Measure: how far the ends of the window are off, in what they may be."""
    levels = line.levels()
    return jnp.stack([levels[0] - LOW, levels[-1] - HIGH]) / (HIGH - LOW) / _WINDOW


def _terms(spread: Callable[[TransferLine], Any], order: float) -> list[Term]:
    return [Term("log misread", LogMisread(spread, order)), Term("weight error", WeightError(spread), _ERROR)]


def objective(mechanism: str, order: float = ORDERS[-1]) -> Objective:
    """Least worst misread and weight error at the published spread, within the published window."""
    window = Term("window", _ends, 0.01, statistic=SquaredNorm())
    return Objective([*_terms(Published(), order), window, *_limits(mechanism)])


def free_spread(mechanism: str, exponent: float) -> Free:
    """See `Free`."""
    own = jnp.mean(CircuitTransfer.from_line(published(mechanism)).own_spread)
    return Free(own, jnp.asarray(exponent))


def free_objective(mechanism: str, exponent: float) -> Objective:
    """The window is free too, and so is the spread: see `Free`."""
    return Objective([*_terms(free_spread(mechanism, exponent), ORDERS[0]), *_limits(mechanism)])


@eqx.filter_jit
def describe(line: TransferLine, spread: Any) -> dict[str, Any]:
    """Levels and what follows from them; `spread` one for all levels or each its own [uS]."""
    levels = line.levels()
    return {
        "levels": levels,
        "line_voltages": line.line_voltages(),
        "misreads": stairs.misreads(levels, spread),
        "gaps": stairs.gaps(levels, spread),
        "weight_error": stairs.weight_error(levels, spread),
        "energy": stairs.transfer_energy(line),
        "damage": stairs.damage(line, _breakdown()),
        "spread": jnp.broadcast_to(spread, levels.shape),
    }


def as_json(found: dict[str, Any]) -> dict[str, Any]:
    """Arrays as lists."""
    return {name: np.asarray(value, float).tolist() for name, value in found.items()}


_DEVICES = 4000
"""Synapses of one population of the check, at each level."""


def counted(mechanism: str) -> Objective:
    """Misreads counted on drawn synapses: mismatch of capacitors and transistors, and each transfer's own draw."""
    own = CircuitTransfer.from_line(published(mechanism)).own_spread

    def transferred(line, key):
        transfer = CircuitTransfer.from_line(line, own_spread=own)
        shape = (_DEVICES,)
        devices = transfer.fabricate(shape, stream(key, "devices"))
        sign = jnp.zeros(shape, bool)

        def of(code):
            codes = jnp.full(shape, 1.0) * code
            return transfer.target(codes, sign, devices, stream(key, f"transfer {code}"))

        return transfer.levels(), jnp.stack([of(code) for code in range(8)])

    def misread(line, key):
        levels, G = transferred(line, key)
        between = 0.5 * (levels[1:] + levels[:-1])[:, None]
        return jnp.max(0.5 * (jnp.mean(G[:-1] > between, axis=1) + jnp.mean(G[1:] < between, axis=1)))

    def error(line, key):
        levels, G = transferred(line, key)
        off = 7 * (G - levels[0]) / (levels[-1] - levels[0]) - jnp.arange(8)[:, None]
        return jnp.sqrt(jnp.mean(off**2))

    return Objective([Term("misread", misread), Term("weight error", error, statistic=Expectation())])


def misread_of_a_synapse(spread: float):
    """Measure: the worst misread [points] of one drawn synapse at a spread [uS], nominal thresholds its own."""

    def measure(line: TransferLine, key):
        capacitors = line.capacitor.sample((3,), stream(key, "capacitors"), cells=line.cells)
        transistor = line.transistor.sample((), stream(key, "transistor"))
        charge = line.switchable_charge(code_bits(jnp.arange(8)), capacitors)
        current = line.compliance_current(line.line_voltage(charge), transistor)
        return 100 * stairs.worst_misread(line.memristor.mean_conductance(current), spread)

    return jax.checkpoint(measure)
