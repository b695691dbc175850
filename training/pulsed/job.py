"""What the jobs share that train one network in several ways: under each of some rules, or at some rates."""

from collections.abc import Callable
from typing import Any

import numpy as np

from training.job import Job, metric
from training.pulsed.names import COMPENSATED, TIMES


class RulesJob(Job):
    """The state of such a job: what each way has trained, and its curve."""

    trained: dict[str, Any]
    curves: dict[str, list[Any]]

    def arrays(self) -> Any:
        return self.trained

    def restore(self, arrays: Any) -> None:
        self.trained = arrays

    def record(self) -> dict[str, Any]:
        return {"curves": self.curves}

    def restore_record(self, record: dict[str, Any]) -> None:
        self.curves = record["curves"]


def ageing_metrics(name: str, measure: str, unit: str, at: Callable[..., float]) -> dict[str, dict[str, Any]]:
    """A measure at all ages, as `at(age=..., compensated=...)` finds it: as it is, and with the shift compensated."""
    return {
        f"{name}_{measure}_by_age{ending}": metric([at(age=age, compensated=compensated) for age in TIMES], unit)
        for compensated, ending in ((False, ""), (True, COMPENSATED))
    }


def ageing_rows(
    value: dict[str, Any], name: str, measure: str, first: list[str], show: Callable[[float], str]
) -> list[list[str]]:
    """Rows of a table that begins with `first`: the measure at all ages as it is, and with the shift compensated."""
    rows = []
    for ending, said in (("", ""), (COMPENSATED, ", compensated")):
        aged = value.get(f"{name}_{measure}_by_age{ending}")
        begin = [first[0] + said, *(first[1:] if not ending else [""] * (len(first) - 1))]
        if aged is not None:
            rows.append([*begin, *map(show, aged)])
    return rows or [[*first, *[""] * len(TIMES)]]


def pulse_metrics(name: str, arrays: Any) -> dict[str, dict[str, Any]]:
    """Mean number of pulses of a device, over each kind of array."""
    sums: dict[str, list[int]] = {}
    for matrix in arrays.arrays:
        held = {side: getattr(matrix, side) for side in ("fast", "slow", "array") if hasattr(matrix, side)}
        for side, part in (held or {"array": matrix}).items():
            devices = np.asarray(part.pulses, np.int64)
            total = sums.setdefault(side, [0, 0])
            total[0], total[1] = total[0] + int(devices.sum()), total[1] + devices.size
    return {f"{name}_{side}_pulses_per_device": metric(all_ / of, "1") for side, (all_, of) in sums.items()}
