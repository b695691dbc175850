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
_GROUPS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?")
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


def readings(text: str) -> list[float]:
    """What the number at the start of a text can mean: 1e-4; 1,5; 10,000.5; 1.000,5; two of 10,000, and none without.

    A point is a decimal point unless there are several or a comma follows, as in the cells of a table.
    """
    match = re.match(r"([0-9][0-9.,]*+)(e[+-]?[0-9]{1,2})?(?![0-9a-z])", text.lower())
    if match is None:
        return []
    digits, exponent = match[1].rstrip(".,"), match[2] or ""
    turned = digits.translate({ord("."): ",", ord(","): "."})  # 1.000,5 is grouped as 1,000.5 is
    found = [float(digits.replace(",", ".") + exponent)] if re.fullmatch("[0-9]+(?:[.,][0-9]+)?", digits) else []
    for written, least in ((digits, 2 if exponent else 1), (turned, 2)):
        if _GROUPS.fullmatch(written) and ("." in written or written.count(",") >= least):
            found.append(float(written.replace(",", "") + exponent))
    return found


def without_groups(lines: Sequence[str]) -> list[str]:
    """Lines of cells between tabs without the commas that group thousands; as they are where commas mark decimals."""
    numbers = [part for line in lines if numeric_cells(line, "tab") > 1 for part in cells(line, "tab")]
    if not all(_GROUPS.fullmatch(number) for number in numbers if "," in number):
        return [*lines]
    return ["\t".join(map(_ungrouped, line.split("\t"))) if "\t" in line else line for line in lines]


def _ungrouped(cell: str) -> str:
    return cell.replace(",", "") if _GROUPS.fullmatch(cell.strip()) else cell


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
    """The decimal mark; numbers of both kinds in one file are refused, and commas that may all group thousands."""
    first: dict[str, int] = {}
    grouped = separator != "semicolon"  # which is there for decimal commas
    if separator == "comma" and not any('"' in line for line in lines):
        return "."
    for row, line in enumerate(lines, 1):
        if not numeric_cells(line, separator):
            continue
        for cell in cells(line, separator):
            if "," in cell:
                first.setdefault(",", row)
                grouped = grouped and _GROUPS.fullmatch(cell) is not None
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
    if "," in first and grouped:
        cell = next(part for part in cells(lines[first[","] - 1], separator) if "," in part)
        raise refusal(
            name,
            "have commas that either mark decimals or group thousands",
            f"{shown(cell)} and the like, which can be either",
            'pass decimal="," if they mark decimals, or export without groups',
            line=first[","],
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
