"""What the fit of a population found: means, spreads of devices and of cycles, correlations, a card."""

import dataclasses
from collections.abc import Mapping
from html import escape
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from hfsim import display
from hfsim.cards import SPREAD, Card, Entry
from hfsim.devices.variability import AbstractDistribution, Correlation, LogNormal, Normal, Population
from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.studies.calibration.card import Provenance, default_sections, fitted_card
from hfsim.studies.calibration.predictions import AbstractPrediction
from hfsim.studies.calibration.residuals import files_of
from hfsim.studies.calibration.result import with_unit

Of = Literal["devices", "cycles", "both"]
_LEAST_EIGENVALUE = 1e-4  # of a correlation matrix that is written: stronger ones are weakened to it
_PRINTED = 0.05  # correlations below are not
NEGLIGIBLE = 1e-3
"""Relative spread below which a card and a population have none."""
TOLD = 3.3
"""Standard errors from which a spread is told from none: 1.65 of its variance, which is exceeded in one case of 20."""


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationFit:
    """A population of devices: x = exp(u) where lognormal, else u; u of devices about its mean with covariance D, of
    the cycles of a device about its own with covariance C.

    Args:
        model: the median device (the mean one where normal).
        prediction, traces: what was fitted; `device` has the place in `names` of each trace's device.
        labels, units, kinds: of the parameters.
        values, errors: of the median device, with standard errors.
        D, C: covariances of u.
        device_errors, cycle_errors: standard errors of the standard deviations of u; NaN where the data do not tell.
        devices, curves: parameters of each device and of each trace, drawn towards the mean as far as their data are
            weak.
        noise: standard deviation of the data's errors, in their unit (over the errors given, where they were).
        predicted, residuals: of each trace with its own parameters.
        flags: what was warned of.
    """

    model: Any
    prediction: AbstractPrediction
    traces: tuple[Trace, ...]
    names: tuple[str, ...]
    device: Int[np.ndarray, " traces"]
    labels: tuple[str, ...]
    units: tuple[str, ...]
    kinds: tuple[str, ...]
    values: Float[np.ndarray, " free"]
    errors: Float[np.ndarray, " free"]
    D: Float[np.ndarray, "free free"]
    C: Float[np.ndarray, "free free"]
    device_errors: Float[np.ndarray, " free"]
    cycle_errors: Float[np.ndarray, " free"]
    devices: Float[np.ndarray, "devices free"]
    curves: Float[np.ndarray, "traces free"]
    noise: float
    predicted: tuple[np.ndarray, ...]
    residuals: tuple[np.ndarray, ...]
    flags: tuple[str, ...]

    @property
    def points(self) -> int:
        """Values that were fitted."""
        return sum(map(len, self.residuals))

    @property
    def rms(self) -> float:
        """Root mean square residual, in the data's unit."""
        return float(np.sqrt(np.mean(np.concatenate(self.residuals) ** 2)))

    def covariance(self, of: Of) -> Float[np.ndarray, "free free"]:
        """D of devices, C of cycles, or D + C of any one curve."""
        known = {"devices": self.D, "cycles": self.C, "both": self.D + self.C}
        if of not in known:
            raise InputError("of", f"be one of {', '.join(known)}", repr(of))
        return known[of]

    def sigma(self, label: str, of: Of = "devices") -> float:
        """Standard deviation of a parameter: of its logarithm where lognormal, else in its unit."""
        return float(np.sqrt(np.diag(self.covariance(of))[self._place(label)]))

    def correlation(self, of: Of = "devices") -> Float[np.ndarray, "free free"]:
        """Correlations of u; NaN where there is no spread."""
        covariance = self.covariance(of)
        deviation = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return covariance / np.outer(deviation, deviation)

    def population(self, of: Of = "devices") -> Population:
        """The population to sample from: of devices, of the cycles of the median device, or of any one curve."""
        deviation = self._counted(of)
        spread: dict[str, AbstractDistribution] = {
            label: (LogNormal if kind == "lognormal" else Normal)(s)
            for label, kind, s in zip(self.labels, self.kinds, deviation, strict=True)
            if s > 0
        }
        names, matrix = self._correlated(of)
        return Population(self.model, spread, (Correlation(jnp.asarray(matrix), names),) if len(names) > 1 else ())

    def _correlated(self, of: Of) -> tuple[tuple[str, ...], np.ndarray]:
        """The parameters that vary, and their correlations, kept from being singular."""
        told = self._told(of)
        places = np.flatnonzero(self._counted(of))
        matrix = np.where(np.outer(told, told), self.correlation(of), 0.0)[np.ix_(places, places)]
        np.fill_diagonal(matrix, 1.0)
        least = float(np.linalg.eigvalsh(matrix)[0]) if len(places) else 1.0
        if least < _LEAST_EIGENVALUE:
            share = (_LEAST_EIGENVALUE - least) / (1 - least)
            matrix = (1 - share) * matrix + share * np.eye(len(places))
        return tuple(self.labels[i] for i in places), matrix

    def _counted(self, of: Of) -> np.ndarray:
        """Standard deviations of u; 0 for those that are none for any purpose."""
        deviation = np.sqrt(np.diag(self.covariance(of)))
        least = [NEGLIGIBLE * (1 if k == "lognormal" else abs(v)) for k, v in zip(self.kinds, self.values, strict=True)]
        return np.where(deviation > least, deviation, 0.0)

    def _told(self, of: Of) -> np.ndarray:
        """Which spreads the data tell from none: only those have correlations."""
        sides = {"devices": (self.device_errors,), "cycles": (self.cycle_errors,)}
        errors = sides.get(of, (self.device_errors, self.cycle_errors))
        deviation = np.sqrt(np.diag(self.covariance(of)))
        return np.any([deviation > TOLD * e for e in errors], axis=0)

    def _place(self, label: str) -> int:
        if label not in self.labels:
            raise InputError("label", f"be one of {', '.join(self.labels)}", repr(label))
        return self.labels.index(label)

    HEAD = ("parameter", "median or mean", "standard error", "unit", "over devices", "over cycles", "distribution")

    def rows(self) -> list[tuple[str, ...]]:
        """One for each parameter, as in `HEAD`."""
        sides = ((self.D, self.device_errors), (self.C, self.cycle_errors))
        return [
            (
                label,
                f"{self.values[i]:.6g}",
                f"{self.errors[i]:.2g}",
                self.units[i],
                *(
                    _deviation(float(np.sqrt(matrix[i, i])), float(errors[i]), float(self.values[i]), self.kinds[i])
                    for matrix, errors in sides
                ),
                self.kinds[i],
            )
            for i, label in enumerate(self.labels)
        ]

    def correlations(self, of: Of = "devices") -> list[tuple[str, str, float]]:
        """Pairs of parameters and the correlation of their spreads, the strongest first."""
        told = self._told(of)
        matrix = np.where(np.outer(told, told), self.correlation(of), 0.0)
        pairs = [(i, j) for i in range(len(self.labels)) for j in range(i) if abs(matrix[i, j]) >= _PRINTED]
        pairs.sort(key=lambda ij: -abs(matrix[ij]))
        return [(self.labels[j], self.labels[i], float(matrix[i, j])) for i, j in pairs]

    def summary(self) -> str:
        """One line on devices, data and noise."""
        files = ", ".join(files_of(self.traces)) or "simulated data"
        unit = self.prediction.unit(self.traces[0])
        return (
            f"{len(self.names)} devices, {len(self.traces)} curves, {self.points} values ({files}): "
            f"root mean square residual {with_unit(self.rms, unit)}, noise {self.noise:.4g}"
        )

    def __str__(self):
        rows = [self.HEAD, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.HEAD))]
        lines = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        for of in ("devices", "cycles"):
            if pairs := self.correlations(of):
                told = "; ".join(f"{a} and {b} {r:+.2f}" for a, b, r in pairs[:10])
                lines.append(f"  correlated over {of}: {told}")
        return "\n".join([self.summary(), *lines, *(f"  ! {flag}" for flag in self.flags)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        flags = "".join(f"<li>{escape(flag)}</li>" for flag in self.flags)
        return display.table(self.summary(), self.HEAD, self.rows()) + (f"<ul>{flags}</ul>" if flags else "")

    def plot(self, axes=None):
        """Parameters of each device and curve with the bands of the population; see `figures.devices_and_cycles`."""
        from hfsim.studies.calibration.figures import devices_and_cycles

        return devices_and_cycles(self, axes)

    def card(
        self,
        name: str,
        title: str,
        *,
        date: str,
        of: Of = "devices",
        base: Card | None = None,
        sections: Mapping[str, str] | None = None,
        **others: Any,
    ) -> Card:
        """A device card with the median device, its spreads and their correlations; `Population.from_card` reads it.

        Args:
            name, title, date, base, sections, others: as of `Calibration.card`.
            of: whose spread.

        Raises:
            InputError: as `Calibration.card`.
        """
        errors = dict(zip(self.labels, self.errors, strict=True))
        unit = self.prediction.unit(self.traces[0])
        told = Provenance(", ".join(files_of(self.traces)), date, self.points, with_unit(self.rms, unit, 3), errors)
        chosen = default_sections(self.model) if sections is None else dict(sections)
        card = fitted_card(self.model, told, name=name, title=title, base=base, sections=chosen, **others)
        entries = {section: dict(of_section) for section, of_section in card.sections.items()}
        files = others.get("data") or told.data
        why = f"fitted: {files}, {date}, {self._who(of)}"
        keys = {}
        known = {"devices": self.device_errors, "cycles": self.cycle_errors}.get(of)
        for i, label in enumerate(self.labels):
            place, _, key = label.rpartition(".")
            keys[label] = f"{chosen[place]}.{key}"
            deviation = self._counted(of)[i]
            if deviation > 0:
                error = "" if known is None or not np.isfinite(known[i]) else f", standard error {known[i]:.2g}"
                unit_of = "1" if self.kinds[i] == "lognormal" else self.units[i]
                entry = Entry(float(f"{deviation:.6g}"), unit_of, why + error, self.kinds[i])
                entries.setdefault(chosen[place] + SPREAD, {})[key] = entry
        names, matrix = self._correlated(of)
        for i in range(len(names)):
            for j in range(i):
                pair = f"{keys[names[j]]} {keys[names[i]]}"
                entries.setdefault("correlation", {})[pair] = Entry(float(f"{matrix[i, j]:.6g}"), "1", why)
        return Card(card.header, entries)

    def _who(self, of: Of) -> str:
        what = {"devices": "spread of devices", "cycles": "spread of cycles", "both": "spread of devices and cycles"}[
            of
        ]
        return f"{what} among {len(self.names)} devices and {len(self.traces)} curves"


def _deviation(sigma: float, error: float, value: float, kind: str) -> str:
    """A standard deviation with its error, in percent where lognormal."""
    if sigma <= NEGLIGIBLE * (1 if kind == "lognormal" else abs(value)):
        return "none"
    scale, unit = (100.0, " %") if kind == "lognormal" else (1.0, "")
    if not sigma > TOLD * error:
        return f"{scale * sigma:.3g}{unit} (not told)"
    return f"{scale * sigma:.3g} +- {scale * error:.2g}{unit}"
