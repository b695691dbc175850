"""What a fit found: a table, a figure, a card."""

import dataclasses
from html import escape
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from hfsim import display
from hfsim.cards import Card
from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.parameters import ParameterSpec
from hfsim.studies.calibration.card import Provenance, fitted_card
from hfsim.studies.calibration.predictions import AbstractPrediction
from hfsim.studies.calibration.residuals import files_of
from hfsim.studies.design import Tie

CONFIDENCE = 0.95
_SAME = 1e-3  # of the residual, within which two starts have found one minimum


class Start(NamedTuple):
    """One search: its root mean square residual over that of the best, and its iterations."""

    ratio: float
    steps: int


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted model and what is known of its parameters.

    Args:
        model: the fitted model, of the structure and precision of the one given.
        prediction, traces: what was fitted.
        labels, units, values: of the free numbers.
        specs: their declarations, with the bounds of the fit.
        errors: standard errors, infinite where the data leave a number open.
        correlation, covariance: of the errors; NaN where there are none.
        ties: parameters that followed.
        predicted: of each trace, all rows, constants of the traces included.
        residuals: predicted less measured of the rows that count, in the data's unit.
        degrees: of freedom.
        chi_squared: sum of squares over the errors given, else None.
        flags: what was warned of.
        starts: of the search.
    """

    model: Any
    prediction: AbstractPrediction
    traces: tuple[Trace, ...]
    labels: tuple[str, ...]
    units: tuple[str, ...]
    values: Float[np.ndarray, " free"]
    specs: tuple[ParameterSpec, ...]
    errors: Float[np.ndarray, " free"]
    correlation: Float[np.ndarray, "free free"]
    covariance: Float[np.ndarray, "free free"]
    ties: tuple[Tie, ...]
    predicted: tuple[np.ndarray, ...]
    residuals: tuple[np.ndarray, ...]
    degrees: int
    chi_squared: float | None
    flags: tuple[str, ...]
    starts: tuple[Start, ...]

    @property
    def points(self) -> int:
        """Values that were fitted."""
        return sum(map(len, self.residuals))

    @property
    def unit(self) -> str:
        """Of the data."""
        return self.prediction.unit(self.traces[0])

    @property
    def rms(self) -> float:
        """Root mean square residual, in the data's unit."""
        return float(np.sqrt(np.mean(np.concatenate(self.residuals) ** 2)))

    @property
    def span(self) -> float:
        """Largest less least value of the data, in their unit."""
        return span(self.prediction, self.traces)

    def __getitem__(self, label: str) -> float:
        """Value of a free number."""
        return float(self.values[self.place(label)])

    def error(self, label: str) -> float:
        """Standard error of a free number."""
        return float(self.errors[self.place(label)])

    def place(self, label: str) -> int:
        """Place of a free number in `values`."""
        if label not in self.labels:
            raise InputError("label", f"be one of {', '.join(self.labels)}", repr(label))
        return self.labels.index(label)

    def interval(self, label: str, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Confidence interval of a free number, Student's t; of a positive one in its logarithm."""
        i = self.place(label)
        value, error, spec = float(self.values[i]), float(self.errors[i]), self.specs[i]
        if not np.isfinite(error):
            return spec.lower, spec.upper
        reach = float(stats.t.ppf(0.5 + confidence / 2, max(self.degrees, 1))) * error
        if spec.lower >= 0 and value > 0:
            factor = float(np.exp(min(reach / value, 700.0)))
            return max(value / factor, spec.lower), min(value * factor, spec.upper)
        return max(value - reach, spec.lower), min(value + reach, spec.upper)

    def rows(self) -> list[tuple[str, ...]]:
        """(parameter, value, standard error, relative error, interval, unit) of each free number."""
        found = []
        for label, value, error, unit in zip(self.labels, self.values, self.errors, self.units, strict=True):
            low, high = self.interval(label)
            known = bool(np.isfinite(error))
            relative = f"{error / abs(value):.2%}" if known and value else ""
            found.append(
                (label, f"{value:.6g}", f"{error:.2g}" if known else "open", relative, f"{low:.5g} to {high:.5g}", unit)
            )
        return found

    HEAD = ("parameter", "value", "standard error", "relative", f"{CONFIDENCE:.0%} interval", "unit")

    def summary(self) -> str:
        """One line on data and residual."""
        files = ", ".join(files_of(self.traces)) or "simulated data"
        share = f", {self.rms / self.span:.2%} of the data's span" if self.span > 0 else ""
        chi = (
            ""
            if self.chi_squared is None
            else f", chi squared {self.chi_squared:.4g} of {self.degrees} degrees of freedom"
        )
        return (
            f"{len(self.labels)} parameters, {self.points} values of {len(self.traces)} traces ({files}): "
            f"root mean square residual {with_unit(self.rms, self.unit)}{share}{chi}; "
            f"{sum(s.ratio < 1 + _SAME for s in self.starts)} of {len(self.starts)} starts ended here"
        )

    def __str__(self):
        rows = [self.HEAD, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.HEAD))]
        lines = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        strong = self.strong_correlations()
        if strong:
            lines.append("  correlated: " + "; ".join(f"{a} and {b} {r:+.2f}" for a, b, r in strong))
        return "\n".join([self.summary(), *lines, *(f"  ! {flag}" for flag in self.flags)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        flags = "".join(f"<li>{escape(flag)}</li>" for flag in self.flags)
        return display.table(self.summary(), self.HEAD, self.rows()) + (f"<ul>{flags}</ul>" if flags else "")

    def strong_correlations(self, above: float = 0.9) -> list[tuple[str, str, float]]:
        """Pairs of parameters whose errors correlate by more than `above`, the strongest first."""
        places = [(i, j) for i in range(len(self.labels)) for j in range(i) if abs(self.correlation[i, j]) > above]
        places.sort(key=lambda ij: -abs(self.correlation[ij]))
        return [(self.labels[j], self.labels[i], float(self.correlation[i, j])) for i, j in places]

    def plot(self, axes=None, *, x: str | None = None):
        """Data with the fit, and the residuals; see `figures.fit_and_residuals`."""
        from hfsim.studies.calibration.figures import fit_and_residuals

        return fit_and_residuals(self, axes, x=x)

    def card(self, name: str, title: str, *, date: str, base: Card | None = None, **others: Any) -> Card:
        """A device card with the fitted values and where they come from.

        Args:
            name: of the card.
            title: what it describes.
            date: of the fit or the measurement, as it shall stand in the card.
            base: a card whose other entries are kept.
            others: of `fitted_card`: sections, citation, data.

        Raises:
            InputError: as `fitted_card`.
        """
        errors = dict(zip(self.labels, self.errors, strict=True))
        told = Provenance(
            ", ".join(files_of(self.traces)), date, self.points, with_unit(self.rms, self.unit, 3), errors
        )
        return fitted_card(self.model, told, self.ties, name=name, title=title, base=base, **others)


def with_unit(value: float, unit: str, digits: int = 4) -> str:
    """A number with its unit, where it has one."""
    return f"{value:.{digits}g}" if unit == "1" else f"{value:.{digits}g} {unit}"


def span(prediction: AbstractPrediction, traces: tuple[Trace, ...]) -> float:
    """Largest less least value of the data."""
    values = np.concatenate([np.asarray(prediction.measured(trace)) for trace in traces])
    return float(np.max(values) - np.min(values))
