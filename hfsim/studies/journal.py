"""Every iterate of a search, in memory and in a file that a killed search goes on from."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from hfsim.errors import InputError

Line = dict[str, Any]


class Journal:
    """Lines of a search: what it is, then iterates, and after each block of them the state to go on from.

    A JSONL file. A block counts once its state is written; what a kill left behind it is dropped. Values that are not
    finite are null.

    Args:
        path: of the file; None keeps lines in memory.
        about: what the search is.

    Attributes:
        lines: iterates.
        state: the last one; None before the first block.

    Raises:
        InputError: the file is of another search, or no journal.
    """

    def __init__(self, path: Path | None, about: Line):
        self.lines: list[Line] = []
        self.state: Line | None = None
        self._path = path
        if path is None:
            return
        if path.is_file():
            self._read(path, about)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        # written anew: the block that a kill cut short is gone
        temporary = path.with_suffix(".part")
        last = [] if self.state is None else [{"state": self.state}]
        temporary.write_text(_text([about, *self.lines, *last]), encoding="utf-8")
        os.replace(temporary, path)

    def write(self, lines: list[Line], state: Line) -> None:
        """A block of iterates, and the state behind it."""
        self.lines += lines
        self.state = state
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_text([*lines, {"state": state}]))

    def _read(self, path: Path, about: Line) -> None:
        texts = path.read_text(encoding="utf-8").splitlines()
        try:
            first = json.loads(texts[0])
        except (IndexError, ValueError) as error:
            raise InputError("log", "be the journal of a search, or not there yet", str(path)) from error
        if first != json.loads(json.dumps(about)):
            must = f"be of this search ({about})"
            raise InputError("log", must, f"{path} of another ({first})", "choose another file")
        block: list[Line] = []
        for text in texts[1:]:
            try:
                line = json.loads(text)
            except ValueError:
                break  # the last line of a killed search
            if "state" in line:
                self.lines, self.state, block = self.lines + block, line["state"], []
            else:
                block.append(line)


def finite(value: Any) -> float | None:
    """A number for JSON."""
    return float(value) if np.isfinite(value) else None


def _text(lines: list[Line]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
