"""The committed page of the table of physics."""

from training.tables.circuit import circuit_table, conditions
from training.tables.configuration import Tables
from training.tables.page import write_page

FIGURES = ("tables_circuit",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several."""
    said = (
        "Levels are computed from capacitor, line, transistor and filament, and every update and transfer reads its "
        "words destructively, with the errors of each cell and latch ([model](../models/sensing.md)); what is read is "
        "written back. Memristors keep their own spread, latches their reference; the read-out's gain follows the worn "
        "levels. In the sweep of windows either state spreads by 42.7 mV, which makes a worst cell of 120 mV at 360 mV."
    )

    def table(value, configuration):
        names = ("spreads", "temperatures", "cycles", "windows", "conditions")
        rows = conditions(Tables(table="circuit", **{name: tuple(configuration[name]) for name in names}))
        return circuit_table(value, {name: row.said for name, row in rows.items() if f"{name}_accuracy" in value})

    return write_page("Physics in place of the measured table", said, FIGURES[0], results, table)
