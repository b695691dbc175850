"""The committed page of the table of programming."""

from training.tables.page import write_page
from training.tables.programming import programming_table

FIGURES = ("tables_programming",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several."""
    said = (
        "A verified transfer RESETs and SETs a memristor again until a read lies within a tolerance of its level, at "
        "most as often as `--attempts` says; reads are taken as exact."
    )
    return write_page(
        "One shot or many",
        said,
        FIGURES[0],
        results,
        lambda value, _: programming_table(value, [n[: -len("_attempts")] for n in value if n.endswith("_attempts")]),
    )
