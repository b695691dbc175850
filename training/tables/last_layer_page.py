"""The committed page of the table of last layers."""

from training.tables.last_layer_results import base_accuracies, last_layer_table, published_table
from training.tables.page import write_page

FIGURES = ("tables_last_layer",)


def page(results: list[dict]) -> str:
    """The page of one run, or of several pairs."""
    values = [{name: entry["value"] for name, entry in result["metrics"].items()} for result in results]
    said = (
        "The article freezes a MobileNet-V2 trained on CIFAR-100 or ImageNet; this project has neither, and "
        "trains a small convolutional network (two convolutions, 128 features) itself, one for each pair, on what is "
        f"before the `to`: {'; '.join(map(base_accuracies, values))}. The last layer sees only what is behind it. "
        "**Accuracies are therefore not to be held against the article's, which are of other tasks; the points lost "
        "from offline in 4 bits to online are.** The network in 4 bits has its weights rounded after training, its "
        "activations not. On the chip p = 1, a transfer every 512 samples, rate 0.1, times 0.1 after half of "
        "the epochs."
    )
    return write_page(
        "The last layer of a frozen network",
        said,
        FIGURES[0],
        results,
        lambda value, _: last_layer_table(value),
        published_table(),
    )
