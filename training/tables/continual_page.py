"""The committed page of the table of learning that goes on."""

from training.data.changes import FADED, SLIP, STUCK, WEAKEST
from training.tables.continual import continual_table, task_name
from training.tables.page import write_page

FIGURES = ("tables_continual",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several storages or scenarios."""
    said = (
        "After the first training something changes, and the same systems learn on, their words, devices and clocks as "
        f"they were. Drift: the image slips by {SLIP:.1%} of its side, contrast falls to {FADED:.0%}, gains of the "
        f"pixels spread from {WEAKEST:g} to 1, {STUCK:.0%} of them are stuck. New class: the last one, left out "
        "before, comes among the others or alone. A second task comes through the same outputs. Old is the test of "
        "what was learned first, new that of what the change brought."
    )
    return write_page(
        "Learning that goes on",
        said,
        FIGURES[0],
        results,
        lambda value, settings: continual_table(value, task_name(settings["tasks"])),
        tested="How strong the drift is was set while looking at test samples of short runs; no other choice was, and "
        "tests after each epoch changed nothing.",
    )
