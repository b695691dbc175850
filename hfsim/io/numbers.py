"""Cells and numbers of a line: separators, decimal points and commas."""

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

from hfsim.errors import InputError
from hfsim.io.text import refusal, shown

SEPARATORS = {"tab": "\t", "semicolon": ";", "comma": ",", "blanks": " "}
"""What may stand between two cells, in the order in which they are tried."""
_SAMPLE = 4000  # lines that the separator is found from
_POINT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEdD][+-]?[0-9]{1,4})?")
_COMMA = re.compile(r"[+-]?(?:[0-9]+,[0-9]+|[0-9]+,|,[0-9]+)(?:[eEdD][+-]?[0-9]{1,4})?")
_NOT_MEASURED = {"nan", "na", "n/a", "inf", "-inf", "+inf", "#n/a", "--", "overflow", "ovrflw", "null"}
LARGEST = 1e30
"""Instruments write 9.91e37 and the like for no reading and for an overflow."""


class Style(NamedTuple):
    """How a file writes its numbers: the separator by name, and the decimal mark."""

    separator: str
    decimal: str

    def __str__(self):
        return f"split by {self.separator}{'' if self.decimal == '.' else ', decimal commas'}"


def cells(line: str, separator: str) -> list[str]:
    """The cells of a line; separator by name. Quotes are taken off."""
    if separator == "blanks":
        return line.split()
    if '"' in line:
        try:
            parts = next(csv.reader([line], delimiter=SEPARATORS[separator], skipinitialspace=True), [])
        except csv.Error:
            parts = line.split(SEPARATORS[separator])
    else:
        parts = line.split(SEPARATORS[separator])
    return [part.strip() for part in parts]


def is_number(cell: str) -> bool:
    """Whether a cell is a number, in either decimal mark."""
    return _POINT.fullmatch(cell) is not None or _COMMA.fullmatch(cell) is not None


def numeric_cells(line: str, separator: str) -> int:
    """Number of cells of a line that holds nothing but numbers and empty cells; 0 for any other."""
    parts = cells(line, separator)
    some = False
    for part in parts:
        if part and not is_number(part):
            return 0
        some = some or bool(part)
    return len(parts) if some else 0


def find_style(name: str, lines: Sequence[str], separator: str | None, decimal: str | None) -> Style:
    """Separator and decimal mark of the numbers of a file.

    The separator is the one that makes the most lines rows of two numbers or more; failing that, of one.

    Raises:
        InputError: no line holds numbers, or decimal points and commas are mixed.
    """
    for argument, value, known in (("separator", separator, [*SEPARATORS]), ("decimal", decimal, [".", ","])):
        if value is not None and value not in known:
            raise InputError(argument, f"be one of {known}", repr(value))
    sample = lines[:_SAMPLE]
    if separator is None:
        widths = {name: [numeric_cells(line, name) for line in sample] for name in SEPARATORS}
        best = max(widths, key=lambda s: (sum(w > 1 for w in widths[s]), sum(w > 0 for w in widths[s])))
        if not any(widths[best]):
            row = next(number for number, line in enumerate(lines, 1) if line.strip())
            raise refusal(name, "hold a table of numbers", f"text from line {row} on, {shown(lines[row - 1].strip())}")
        separator = best
    return Style(separator, _decimal(name, lines, separator) if decimal is None else decimal)


def _decimal(name: str, lines: Sequence[str], separator: str) -> str:
    """The decimal mark; numbers of both kinds in one file are refused."""
    first: dict[str, int] = {}
    if separator == "comma" and not any('"' in line for line in lines):
        return "."
    for row, line in enumerate(lines, 1):
        if not numeric_cells(line, separator):
            continue
        for cell in cells(line, separator):
            if "," in cell:
                first.setdefault(",", row)
            elif "." in cell:
                first.setdefault(".", row)
        if len(first) == 2:
            break
    if len(first) == 2:
        other = max(first, key=lambda mark: first[mark])
        kind = "comma" if other == "," else "point"
        raise refusal(
            name,
            "write all of its decimals with one mark",
            f"a decimal {kind} after the others",
            "replace it, or export with one mark",
            line=first[other],
        )
    return next(iter(first), ".")


def value(name: str, row: int, cell: str, decimal: str, column: str) -> float:
    """The number of a cell.

    Raises:
        InputError: it is no number, not measured, or an instrument's mark of an overflow.
    """
    if decimal == ".":
        try:
            found = float(cell)
            if abs(found) < LARGEST and "_" not in cell:
                return found
        except ValueError:
            pass
    own, other = (_POINT, _COMMA) if decimal == "." else (_COMMA, _POINT)
    if own.fullmatch(cell) is None and ("." in cell or "," in cell or other.fullmatch(cell) is None):
        if cell.lower() in _NOT_MEASURED:
            raise refusal(
                name,
                f"hold a measured number in column {column}",
                shown(cell),
                "remove the row, or leave it empty",
                line=row,
            )
        if is_number(cell):
            raise refusal(
                name, f'write decimals with "{decimal}"', shown(cell), "export with one decimal mark", line=row
            )
        remedy = (
            "write units in the header only" if re.match(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)? *[A-Za-z%]", cell) else ""
        )
        raise refusal(name, f"hold a number in column {column}", shown(cell), remedy, line=row)
    found = float(re.sub("[dD]", "e", cell.replace(",", ".")))
    if not abs(found) < LARGEST:
        raise refusal(
            name,
            f"hold a measured number in column {column}",
            f"{shown(cell)}, a mark of an overflow",
            "remove the row, or measure in a wider range",
            line=row,
        )
    return found
