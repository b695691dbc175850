"""The text of an instrument's file: what is no text is refused, with one line that says so."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from hfsim.errors import InputError

MOST_BYTES = 64 * 2**20
"""Largest file that is read; chosen: more than a thousand loops of 1000 points."""
_SHOWN = 60  # characters of a file that a message repeats
_ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_FOREIGN = {
    b"PK\x03\x04": ("a text file", "a workbook or archive", "save the sheet with the data as CSV or text"),
    b"\xd0\xcf\x11\xe0": ("a text file", "an Excel 97 workbook", "save the sheet with the data as CSV or text"),
    b"%PDF": ("a text file", "a PDF document", "export the table that it was made of"),
    b"\x89HDF": ("a text file", "an HDF5 file", "export the table as CSV"),
    b"\x1f\x8b": ("a text file", "a compressed file", "unpack it"),
}
# what keyboards and instruments write for u, ohm, squares, cubes, minus signs and blanks
_SAME = str.maketrans(
    {"µ": "u", "μ": "u", "\u03a9": "ohm", "\u2126": "ohm", "²": "2", "³": "3", "−": "-", "\xa0": " ", "⁻": "-"}
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class Text(NamedTuple):
    """Name of a file, its lines without their ends, and the bytes that it was made of."""

    name: str
    lines: list[str]
    content: bytes


def shown(text: object) -> str:
    """A part of a file as a message repeats it: printable, on one line, not long."""
    line = repr(text if isinstance(text, str) else str(text))
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 4]}...{line[0]}"


def refusal(name: str, must: str, was: object, remedy: str = "", *, line: int | None = None) -> InputError:
    """The error of a file, at a line counted from 1 where there is one."""
    return InputError(name if line is None else f"{name}, line {line}", must, was, remedy)


def read_text(path: str | os.PathLike) -> Text:
    """Read a file of text in UTF-8, UTF-16 with its mark, or the Western code page.

    Raises:
        InputError: there is no such file, or it is empty, binary or larger than `MOST_BYTES`.
    """
    try:
        file = Path(path)
        name = re.sub(r"[^ -~]", "?", file.name)
        if file.is_dir():
            raise refusal(name, "be a file", "a directory")
        size = file.stat().st_size
        if size > MOST_BYTES:
            megabytes = f"{size / 2**20:.0f} MiB"
            raise refusal(name, f"be at most {MOST_BYTES >> 20} MiB", megabytes, "split it, one measurement a file")
        content = file.read_bytes()
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("path", "be a readable file", f"{shown(str(path))} ({_reason(error)})") from error
    for start, (must, was, remedy) in _FOREIGN.items():
        if content.startswith(start):
            raise refusal(name, f"be {must}", was, remedy)
    text = _decoded(name, content).lstrip("\ufeff").translate(_SAME)
    if not text.strip():
        raise refusal(name, "hold measured values", "an empty file", "export it again")
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise refusal(name, "be text", "binary", "export the data as text, CSV or TSV", line=line)
    return Text(name, re.split(r"\r\n|\r|\n", text.removesuffix("\n").removesuffix("\r")), content)


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "no path"


def _decoded(name: str, content: bytes) -> str:
    for mark, encoding in _ENCODINGS.items():
        if content.startswith(mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise refusal(
                    name, f"be {encoding} as its first bytes say", "cut or binary", "export it again"
                ) from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")  # bytes that it lacks are replaced: a name may hold them
