"""A run's log: one JSON object a line, appended as it happens.

    {"time": "2026-11-23T10:00:00Z", "event": "step", "steps": 3, "total": 20, "seconds": 12.4, "headline": "chip 93%"}

Events: begin, resume, step, checkpoint, finish. A line that a kill tore off is left out by the reader (`read_log`). The
log decides no number: it may be deleted.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hfsim.errors import InputError

FILE = "log.jsonl"


class Log:
    """The log of the run in a directory."""

    def __init__(self, directory: Path):
        self.path = directory / FILE
        self._torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")

    def write(self, event: str, **fields: Any) -> None:
        """Append a line.

        Raises:
            InputError: the disk is full, or the directory is gone.
        """
        line = json.dumps({"time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "event": event, **fields})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(("\n" if self._torn else "") + line + "\n")
                self._torn = False
        except OSError as error:
            raise InputError(str(self.path), "be writable", error.strerror, "the last checkpoint is intact") from error


def read_log(directory: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's log."""
    lines = (directory / FILE).read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # torn off by a kill
    return found
