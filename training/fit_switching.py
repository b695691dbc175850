"""Fit three models of switching kinetics to measured pulses of five amplitudes; predict the others.

    python -m training.fit_switching [--data FILE]            fits, prints, changes nothing
    python -m training.fit_switching [--data FILE] --write    also writes the fitted values into the comparison's card

The data are the switching kinetics of an 8.3 nm Hf0.5Zr0.5O2 capacitor (Alessandri et al., IEEE Electron Device Lett.
39, 1780 (2018)): polarisation after one pulse from saturation, 13 amplitudes, 22 widths. They are no part of the
project; FILE is a CSV table with columns pw [s], amp [V] and P [uC/cm2].

    gb2          a, b, p, q, tau0, alpha, beta, and P_r
    lorentzian   E_a, t_inf, alpha, w, and P_r
    kai          tau, E_a, n, alpha, and P_r
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import least_squares

from hfsim.cards import Card, Entry, load_card, write_card
from hfsim.devices.ferroelectric.gb2 import GB2Kinetics
from hfsim.devices.ferroelectric.kai import KAIKinetics
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.devices.ferroelectric.lorentzian import LorentzianKinetics
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, bounded, free, parameter, parameters
from hfsim.units import FIELD_OF_VOLT_PER_NM, NANOSECONDS, ROOM_TEMPERATURE

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "../shared/data/measured/hzo_switching_kinetics_literature.csv"
CARD, COMPARISON = "hzo-8nm-switching", "hzo-8nm-comparison"
FITTED_AMPLITUDES = (0.8, 1.0, 1.2, 1.4, 1.6)  # V
CAPACITOR = "ferroelectric_capacitor"
# model -> (card of its start, section of its kinetics, of its capacitor, class)
MODELS: dict[str, tuple[str, str, str, type[AbstractKinetics]]] = {
    "gb2": (CARD, "kinetics", CAPACITOR, GB2Kinetics),
    "lorentzian": (COMPARISON, "lorentzian", f"{CAPACITOR}_lorentzian", LorentzianKinetics),
    "kai": (COMPARISON, "kai", f"{CAPACITOR}_kai", KAIKinetics),
}


class Pulses(NamedTuple):
    """Pulses from saturation down: amplitude [V], width [ns], polarisation after them [uC/cm2]."""

    voltage: Float[Array, " pulses"]
    width: Float[Array, " pulses"]
    P: Float[Array, " pulses"]

    def of(self, chosen) -> "Pulses":
        """Some of the pulses."""
        return Pulses(*(x[chosen] for x in self))


class Film(PhysicalModel):
    """A film of one of the kinetics under single pulses."""

    kinetics: AbstractKinetics
    P_r: Float[Array, ""] = parameter(unit="uC/cm2", bounds=(0.0, 100.0), doc="remanent polarisation")
    t: Float[Array, ""] = parameter(unit="nm", bounds=(0.5, 1e3), doc="film thickness")

    def polarisation(self, pulses: Pulses) -> Float[Array, " pulses"]:
        """P [uC/cm2] after each pulse from saturation down."""
        field = FIELD_OF_VOLT_PER_NM * pulses.voltage / self.t
        state = self.kinetics.init(field.shape, up=0.0)
        state = self.kinetics.expose(state, field, pulses.width, ROOM_TEMPERATURE)
        return self.P_r * self.kinetics.polarisation(state)


class Comparison(NamedTuple):
    """A fitted film, and its root-mean-square errors over 2 P_r of the card."""

    film: Film
    fitted: float
    held_out: float


def read_pulses(path: str | Path) -> Pulses:
    """The table of pulses."""
    try:
        table = np.genfromtxt(path, delimiter=",", names=True)
        return Pulses(*map(jnp.asarray, (table["amp"], NANOSECONDS * table["pw"], table["P"])))
    except (OSError, ValueError) as error:
        raise InputError("data", "be a CSV table with columns pw, amp and P", f"{path} ({error})") from error


def film(name: str) -> Film:
    """The film with one of the kinetics, as in the cards."""
    source, section, capacitor, kinetics = MODELS[name]
    card = load_card(source)
    P_r, t = card.quantity(capacitor, "P_r", "uC/cm2"), card.quantity(capacitor, "t", "nm")
    return Film(card.build(kinetics, section), P_r, t)


def free_places(name: str) -> Callable[[Film], list]:
    """The parameters that the fit may move: all of the kinetics but its temperature coefficient, and P_r."""
    fixed = ("t", "kinetics.dlnE_dT")
    names = [n for n, _, _ in parameters(film(name))]
    return lambda tree: [v for n, v in zip(names, jax.tree.leaves(tree), strict=True) if n not in fixed]


def fit(start: Film, places: Callable[[Film], list], pulses: Pulses) -> Film:
    """Least squares in the free form of the parameters at `places`."""
    unbounded = free(start)

    def model(theta) -> Film:
        return bounded(eqx.tree_at(lambda f: places(f.values), unbounded, list(theta)))

    residual = jax.jit(lambda theta: model(theta).polarisation(pulses) - pulses.P)
    slope = jax.jit(jax.jacfwd(residual))
    first = np.asarray(places(unbounded.values))
    found = least_squares(residual, first, jac=slope, x_scale="jac", xtol=1e-10, ftol=1e-10, gtol=1e-10)
    return model(jnp.asarray(found.x))


def compare(name: str, pulses: Pulses) -> Comparison:
    """Fit one model on the five amplitudes, and its errors on them and on the others."""
    start, P_r = film(name), load_card(CARD).quantity(CAPACITOR, "P_r", "uC/cm2")
    inside = np.isin(np.round(np.asarray(pulses.voltage), 3), FITTED_AMPLITUDES)
    fitted = fit(start, free_places(name), pulses.of(inside))

    def error(some: Pulses) -> float:
        return float(jnp.sqrt(jnp.mean((fitted.polarisation(some) - some.P) ** 2)) / (2 * P_r))

    return Comparison(fitted, error(pulses.of(inside)), error(pulses.of(~inside)))


def report(name: str, comparison: Comparison) -> str:
    """Two lines: values and errors."""
    values = ", ".join(f"{n.removeprefix('kinetics.')} = {float(v):.6g}" for n, _, v in parameters(comparison.film))
    return (
        f"{name}: {values}\n"
        f"  RMSE: {comparison.fitted:.2%} of 2 P_r on the five amplitudes fitted, "
        f"{comparison.held_out:.2%} on the others, held out"
    )


def fitted_card(card: Card, films: dict[str, Film]) -> Card:
    """The comparison's card with the fitted values."""
    sections = {name: dict(entries) for name, entries in card.sections.items()}
    source = "fitted: pulses of 0.8, 1.0, 1.2, 1.4, 1.6 V of Alessandri et al. (2018) by training/fit_switching.py"
    for name, fitted in films.items():
        for section in {name, f"{CAPACITOR}_{name}"} & sections.keys():
            for key, _, value in parameters(fitted if section.startswith(CAPACITOR) else fitted.kinetics):
                if key in sections[section] and key != "t":
                    sections[section][key] = Entry(float(f"{float(value):.6g}"), sections[section][key].unit, source)
    return Card(card.header, sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the table of pulses")
    parser.add_argument("--write", action="store_true", help="write the fitted values into the comparison's card")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    try:
        pulses = read_pulses(options.data)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    films = {}
    for name in MODELS:
        comparison = compare(name, pulses)
        films[name] = comparison.film
        print(report(name, comparison))
    if options.write:
        path = ROOT / "hfsim" / "cards" / f"{COMPARISON}.toml"
        write_card(fitted_card(load_card(COMPARISON), films), path)
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
