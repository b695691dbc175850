"""Training: the main job from a cold start, and one step of a layer by pulses against aihwkit."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import training_rows_pulsed
from benchmarks.measure import Row

BAR_SECONDS, BAR_RATIO = 60.0, 4.0
ROOT = Path(__file__).parents[1]


def _cold_start(chips: int) -> float:
    """Seconds of `python -m training` in a process of its own, imports and compilation included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "training", "--quiet", "--chips", str(chips), "--run-dir", f"{folder}/run"]
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)
        return time.perf_counter() - began


def rows() -> list[Row]:
    """The rows of both."""
    return [*training_rows_pulsed.rows(), *_main_job()]


def _main_job() -> list[Row]:
    """Wall seconds of the main job with its defaults: one chip against its bar, eight against one."""
    one, eight = _cold_start(1), _cold_start(8)
    return [
        Row(
            "main job, one chip, cold start",
            one,
            "its bar",
            BAR_SECONDS,
            BAR_SECONDS / one,
            f"at most {BAR_SECONDS:g} s",
            one <= BAR_SECONDS,
        ),
        Row(
            "main job, eight chips at once",
            eight,
            "one chip",
            one,
            one / eight,
            f"less than {BAR_RATIO:g} times one chip",
            eight < BAR_RATIO * one,
        ),
    ]
