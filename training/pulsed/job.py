"""What the jobs share that train one network in several ways: under each of some rules, or at some rates."""

from typing import Any

import numpy as np

from training.job import Job, metric


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
