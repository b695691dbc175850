"""The learning rules by name, how they are called and drawn, and the ages of a test: no JAX here, options need them."""

FLOAT = "float"
LABELS = {
    FLOAT: "floating point",
    "agad": "AGAD",
    "cttv2": "c-TTv2",
    "ttv2": "TTv2",
    "mixed": "mixed precision",
    "sgd": "pulsed SGD",
}
RULES = tuple(LABELS)
TRANSFERS = ("agad", "cttv2", "ttv2")
"""Those with a buffer between two arrays, and so with a ceiling."""
COLOURS = dict(zip(RULES, ("#1f5a8c", "#b3430f", "#4f7f3f", "#8a5fa8", "#c7952c", "#8a8a8a"), strict=True))
TIMES = ("1 s", "1 h", "1 day", "1 month", "1 year", "10 years")
"""How long a trained network is left alone."""
COMPENSATED = "_compensated"
"""Ending of metrics that are taken with the mean shift of each column compensated."""
