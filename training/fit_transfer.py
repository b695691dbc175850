"""Fit what the article does not publish of the transfer line, so that its level table comes out.

    python -m training.fit_transfer            fits, prints, changes nothing
    python -m training.fit_transfer --write    also writes the values into the card

Fitted on codes 0, 2, 4 and 7 of the published table, four free parameters each; checked on codes 1, 3, 5, 6.

    saturation   V_T0 and KP of the select transistor, V_loss and R_s of the SET path; C_TL is the bit line's
    starvation   V_T0, KP, C_TL, and the scale b of the FeCAPs' activation field; no losses in the path
"""

import argparse
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from hfsim.cards import Card, Entry, load_card, write_card
from hfsim.circuits import TransferLine
from hfsim.hybrid.from_card import MECHANISMS, transfer_line
from hfsim.parameters import bounded, free

CARD = "cea-leti-2025-hybrid"
FITTED_CODES, HELD_OUT_CODES = (0, 2, 4, 7), (1, 3, 5, 6)
# mechanism -> (section of the card, parameter, where it is in the model)
FREE_PARAMETERS = {
    "saturation": (
        ("transistor_saturation", "V_T0", lambda m: m.transistor.V_T0),
        ("transistor_saturation", "KP", lambda m: m.transistor.KP),
        ("drive_saturation", "V_loss", lambda m: m.drive.V_loss),
        ("drive_saturation", "R_s", lambda m: m.drive.R_s),
    ),
    "starvation": (
        ("transistor_starvation", "V_T0", lambda m: m.transistor.V_T0),
        ("transistor_starvation", "KP", lambda m: m.transistor.KP),
        ("line_starvation", "C_L", lambda m: m.line.C_L),
        ("kinetics_starvation", "b", lambda m: m.capacitor.kinetics.b),
    ),
}


def errors(line: TransferLine, table: np.ndarray) -> np.ndarray:
    """Computed minus published level [uS], codes 0..7."""
    return np.asarray(line.levels()) - table


def fit(line: TransferLine, mechanism: str, table: np.ndarray) -> TransferLine:
    """Least squares in the free form of the mechanism's parameters, from the card's values."""
    start, places = free(line), [place for _, _, place in FREE_PARAMETERS[mechanism]]

    def model(theta):
        values = eqx.tree_at(lambda v: [p(v) for p in places], start.values, list(theta))
        return bounded(eqx.tree_at(lambda f: f.values, start, values))

    codes = jnp.asarray(FITTED_CODES)
    residual = jax.jit(lambda theta: model(theta).levels()[codes] - table[codes])
    slope = jax.jit(jax.jacfwd(residual))
    first = np.asarray([p(start.values) for p in places])
    found = least_squares(residual, first, jac=slope, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return model(jnp.asarray(found.x))


def report(line: TransferLine, mechanism: str, table: np.ndarray) -> str:
    """A few lines: parameters, levels, line voltages and errors."""
    error, V_TL = errors(line, table), np.asarray(line.line_voltages())
    straight = np.polyval(np.polyfit(np.arange(8), V_TL, 1), np.arange(8))
    rms = {
        name: np.sqrt(np.mean(error[list(codes)] ** 2))
        for name, codes in (("fitted", FITTED_CODES), ("held out", HELD_OUT_CODES))
    }
    lines = [f"{mechanism}: " + ", ".join(f"{s}.{k} = {float(p(line)):.5g}" for s, k, p in FREE_PARAMETERS[mechanism])]
    lines.append("  levels [uS]  " + "  ".join(f"{x:6.2f}" for x in error + table))
    lines.append("  error [uS]   " + "  ".join(f"{x:6.2f}" for x in error))
    lines.append("  V_TL [V]     " + "  ".join(f"{x:6.3f}" for x in V_TL))
    lines.append(
        f"  RMSE: codes {FITTED_CODES} {rms['fitted']:.3f} uS (fitted), "
        f"codes {HELD_OUT_CODES} {rms['held out']:.3f} uS (held out); "
        f"V_TL departs from a line by {np.abs(V_TL - straight).max() / np.ptp(V_TL):.1%} of its span"
    )
    return "\n".join(lines)


def fitted_card(card: Card, line: TransferLine, mechanism: str) -> Card:
    """The card with the mechanism's fitted values."""
    sections = {name: dict(entries) for name, entries in card.sections.items()}
    for section, key, place in FREE_PARAMETERS[mechanism]:
        unit = card.sections[section][key].unit
        value = float(f"{float(place(line)):.6g}")
        source = "fitted: published levels of codes 0, 2, 4, 7 by training/fit_transfer.py"
        sections[section][key] = Entry(value, unit, source)
    return Card(card.header, sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the fitted values into the card")
    write = parser.parse_args().write
    jax.config.update("jax_enable_x64", True)
    card = load_card(CARD)
    table = np.asarray(card.quantity("levels", "mean", "uS"))
    for mechanism in MECHANISMS:
        line = fit(transfer_line(card, mechanism), mechanism, table)
        print(report(line, mechanism, table))
        card = fitted_card(card, line, mechanism)
    if write:
        path = Path(__file__).parents[1] / "hfsim" / "cards" / f"{CARD}.toml"
        write_card(card, path)
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
