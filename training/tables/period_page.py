"""The committed page of the table of periods."""

from training.hybrid.task import TASKS
from training.tables.page import write_page
from training.tables.period import done_cases, period_table, totals_table

FIGURES = ("tables_period",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several storages."""
    said = (
        "The article: flat to k = 100 (96.7 % without variability), falling beyond; 1,464 nJ at k = 1 and 38.4 nJ at "
        "k = 100 for the worst FeCAP and one memristor. Counted operations are of the busiest weight of all; energies "
        "of the network by the article's flat prices and from physics ([energy](../models/energy.md)), where a SET "
        "of 10 us at the stated voltages and currents costs 2 nJ, two thousand times the flat price: the more "
        "transfers, the more the two differ."
    )

    def totals(result: dict):
        settings, value = result["configuration"], {name: x["value"] for name, x in result["metrics"].items()}
        epochs = settings["epochs"] or TASKS[(settings["tasks"] or ["mnist-online"])[0]].epochs
        return totals_table(value, done_cases(value), epochs)

    return write_page(
        "When to transfer",
        said,
        FIGURES[0],
        results,
        lambda value, _: period_table(value, done_cases(value)),
        *map(totals, results),
    )
