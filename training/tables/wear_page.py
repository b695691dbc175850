"""The committed page of the table of wear."""

from training.tables.page import write_page
from training.tables.wear import wear_tables

FIGURES = ("tables_wear",)


def page(results: list[dict]) -> str:
    """The page of one run."""
    said = (
        "Cycles are counted device by device: two operations are one cycle. Lives are Weibull-distributed: the "
        "article's limits of 1e7 and 1e5 cycles are taken as those of 63 % of the devices, with slopes that are chosen "
        "(1.5 and 4), so the first of hundreds of thousands dies far earlier; with a steeper slope it would be later. "
        "A dead FeCAP reads 0, a dead memristor stays at one conductance ([model](../models/wear.md))."
    )
    value = {name: entry["value"] for name, entry in results[0]["metrics"].items()}
    wear = wear_tables(value, ())[0]

    def table(value, configuration):
        return wear_tables(value, tuple(configuration["dead"]))[1]

    return write_page("Wear and dead devices", said, FIGURES[0], results, table, wear)
