"""Fit three models of switching kinetics to measured pulses of five amplitudes; predict the others.

    python -m training.fit_switching [--data FILE]                       fits, prints, changes nothing
    python -m training.fit_switching [--data FILE] --write --date DATE   also writes them into the comparison's card

The data are the switching kinetics of an 8.3 nm Hf0.5Zr0.5O2 capacitor (Alessandri et al., IEEE Electron Device Lett.
39, 1780 (2018)): polarisation after one pulse from saturation, 13 amplitudes, 22 widths. They are no part of the
project; FILE is a CSV table with columns pw [s], amp [V] and P [uC/cm2].

    gb2          a, b, p, q, tau0, alpha, beta, and P_r
    lorentzian   E_a, t_inf, alpha, w, and P_r
    kai          tau, E_a, n, alpha, and P_r
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

import hfsim.io
from hfsim.cards import Card, load_card, write_card
from hfsim.devices.ferroelectric import FerroelectricCapacitor, GB2Kinetics, KAIKinetics, LorentzianKinetics
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.errors import InputError
from hfsim.io import Measurement, Trace
from hfsim.parameters import specifications
from hfsim.studies.calibration import CalibrationWarning, HeldOut, SwitchingPulses, hold_out

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
SOURCE = "pulses of 0.8, 1.0, 1.2, 1.4, 1.6 V of Alessandri et al. (2018) by training/fit_switching.py"


def read_pulses(path: str | Path) -> Measurement:
    """The table of pulses, a trace for each amplitude."""
    found = hfsim.io.read(path)
    if any(trace.kind != "switching" or "polarisation" not in trace for trace in found):
        raise InputError("data", "be a table with columns pw, amp and P", f"{found.file}, {found[0].kind}")
    return found


def capacitor(name: str) -> FerroelectricCapacitor:
    """The capacitor with one of the kinetics, as in the cards."""
    source, section, own, kinetics = MODELS[name]
    card = load_card(source)
    return card.build(FerroelectricCapacitor, own, kinetics=card.build(kinetics, section))


def free_names(name: str) -> list[str]:
    """What the fit may move: all of the kinetics but its temperature coefficient, and P_r."""
    return [f"kinetics.{key}" for key in specifications(MODELS[name][3]) if key != "dlnE_dT"] + ["P_r"]


def is_held_out(trace: Trace) -> bool:
    """Whether a trace is of an amplitude that is only predicted."""
    return not np.any(np.isclose(trace["amplitude"][0], FITTED_AMPLITUDES, atol=1e-3))


def compare(name: str, pulses: Measurement) -> HeldOut:
    """Fit one model on the five amplitudes, from the card's values, and predict the others."""
    with warnings.catch_warnings():  # what they leave open is printed
        warnings.simplefilter("ignore", CalibrationWarning)
        return hold_out(capacitor(name), list(pulses), SwitchingPulses(), free_names(name), is_held_out, starts=1)


def shares(found: HeldOut) -> tuple[float, float]:
    """Errors of what was fitted and held out, over 2 P_r of the published set."""
    whole = 2 * load_card(CARD).quantity(CAPACITOR, "P_r", "uC/cm2")
    return found.fitted / whole, found.held_out / whole


def fitted_card(card: Card, found: dict[str, HeldOut], date: str) -> Card:
    """The comparison's card with the fitted values of the models that it holds."""
    for name, one in found.items():
        _, section, own, _ = MODELS[name]
        if section in card.sections and own in card.sections:
            sections = {"": own, "kinetics": section}
            header = {"name": card.header["name"], "title": card.header["title"], "citation": card.header["citation"]}
            card = one.calibration.card(**header, date=date, base=card, sections=sections, data=SOURCE)
    return card


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the table of pulses")
    parser.add_argument("--write", action="store_true", help="write the fitted values into the comparison's card")
    parser.add_argument("--date", default="", help="of the fit, as it shall stand in the card")
    options = parser.parse_args()
    try:
        pulses = read_pulses(options.data)
        found = {}
        for name in MODELS:
            found[name] = compare(name, pulses)
            fitted, held_out = shares(found[name])
            print(f"{name}: {found[name].calibration}")
            print(f"  {fitted:.2%} of 2 P_r on the five amplitudes fitted, {held_out:.2%} on the others, held out")
        if options.write:
            path = ROOT / "hfsim" / "cards" / f"{COMPARISON}.toml"
            write_card(fitted_card(load_card(COMPARISON), found, options.date), path)
            print(f"wrote {path}")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
