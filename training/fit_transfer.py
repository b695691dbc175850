"""Fit what the article does not publish of the transfer line, so that its level table comes out.

    python -m training.fit_transfer            fits, prints, changes nothing
    python -m training.fit_transfer --write    also writes the values into the card

Fitted on codes 0, 2, 4 and 7 of the published table, four free parameters each; checked on codes 1, 3, 5, 6.

    saturation   V_T0 and KP of the select transistor, V_loss and R_s of the SET path; C_TL is the bit line's
    starvation   V_T0, KP, C_TL, and the scale b of the FeCAPs' activation field; no losses in the path
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

from hfsim.cards import Card, Entry, load_card, write_card
from hfsim.circuits import TransferLine
from hfsim.hybrid.from_card import MECHANISMS, transfer_line
from hfsim.io import Trace
from hfsim.studies.calibration import Calibration, CalibrationWarning, Prediction, calibrate

CARD = "cea-leti-2025-hybrid"
FITTED_CODES, HELD_OUT_CODES = (0, 2, 4, 7), (1, 3, 5, 6)
# mechanism -> (section of the card, parameter, its name in the model)
FREE_PARAMETERS = {
    "saturation": (
        ("transistor_saturation", "V_T0", "transistor.V_T0"),
        ("transistor_saturation", "KP", "transistor.KP"),
        ("drive_saturation", "V_loss", "drive.V_loss"),
        ("drive_saturation", "R_s", "drive.R_s"),
    ),
    "starvation": (
        ("transistor_starvation", "V_T0", "transistor.V_T0"),
        ("transistor_starvation", "KP", "transistor.KP"),
        ("line_starvation", "C_L", "line.C_L"),
        ("kinetics_starvation", "b", "capacitor.kinetics.b"),
    ),
}
LEVELS = Prediction(lambda line, trace: line.levels()[trace["code"].astype(int)], "conductance")


def errors(line: TransferLine, table: np.ndarray) -> np.ndarray:
    """Computed minus published level [uS], codes 0..7."""
    return np.asarray(line.levels()) - table


def fit(line: TransferLine, mechanism: str, table: np.ndarray) -> Calibration:
    """Least squares in the mechanism's parameters, from the card's values: as many as there are levels."""
    codes = np.asarray(FITTED_CODES)
    columns = {"code": codes.astype(float), "conductance": table[codes]}
    levels = Trace("levels", "table", columns, {"code": "1", "conductance": "uS"})
    names = [name for _, _, name in FREE_PARAMETERS[mechanism]]
    with warnings.catch_warnings():  # no value is left over for standard errors
        warnings.simplefilter("ignore", CalibrationWarning)
        return calibrate(line, levels, LEVELS, names, starts=1)


def report(found: Calibration, mechanism: str, table: np.ndarray) -> str:
    """A few lines: parameters, levels, line voltages and errors."""
    line = found.model
    error, V_TL = errors(line, table), np.asarray(line.line_voltages())
    straight = np.polyval(np.polyfit(np.arange(8), V_TL, 1), np.arange(8))
    rms = {
        name: np.sqrt(np.mean(error[list(codes)] ** 2))
        for name, codes in (("fitted", FITTED_CODES), ("held out", HELD_OUT_CODES))
    }
    lines = [f"{mechanism}: " + ", ".join(f"{s}.{k} = {found[name]:.5g}" for s, k, name in FREE_PARAMETERS[mechanism])]
    lines.append("  levels [uS]  " + "  ".join(f"{x:6.2f}" for x in error + table))
    lines.append("  error [uS]   " + "  ".join(f"{x:6.2f}" for x in error))
    lines.append("  V_TL [V]     " + "  ".join(f"{x:6.3f}" for x in V_TL))
    lines.append(
        f"  RMSE: codes {FITTED_CODES} {rms['fitted']:.3f} uS (fitted), "
        f"codes {HELD_OUT_CODES} {rms['held out']:.3f} uS (held out); "
        f"V_TL departs from a line by {np.abs(V_TL - straight).max() / np.ptp(V_TL):.1%} of its span"
    )
    return "\n".join(lines)


def fitted_card(card: Card, found: Calibration, mechanism: str) -> Card:
    """The card with the mechanism's fitted values."""
    sections = {name: dict(entries) for name, entries in card.sections.items()}
    for section, key, name in FREE_PARAMETERS[mechanism]:
        unit = card.sections[section][key].unit
        value = float(f"{found[name]:.6g}")
        source = "fitted: published levels of codes 0, 2, 4, 7 by training/fit_transfer.py"
        sections[section][key] = Entry(value, unit, source)
    return Card(card.header, sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the fitted values into the card")
    write = parser.parse_args().write
    card = load_card(CARD)
    table = np.asarray(card.quantity("levels", "mean", "uS"))
    for mechanism in MECHANISMS:
        found = fit(transfer_line(card, mechanism), mechanism, table)
        print(report(found, mechanism, table))
        card = fitted_card(card, found, mechanism)
    if write:
        path = Path(__file__).parents[1] / "hfsim" / "cards" / f"{CARD}.toml"
        write_card(card, path)
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
