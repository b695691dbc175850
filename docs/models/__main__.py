"""`python -m docs.models [NAME ...]`: draw the figures of the model pages anew (all by default).

Beside each page NAME.md lies NAME.py with `figure()`, which computes and returns a matplotlib figure; it is written
to NAME.png.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

import matplotlib

FOLDER = Path(__file__).parent
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 130,
    "lines.linewidth": 1.4,
}


def names() -> list[str]:
    """The pages that have a figure."""
    return sorted(m.name for m in pkgutil.iter_modules([str(FOLDER)]) if not m.name.startswith("_"))


def main(chosen: list[str]) -> int:
    """Draw and save."""
    if unknown := set(chosen) - set(names()):
        print(f"`NAME` must be one of {', '.join(names())}, but was {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        for name in chosen or names():
            figure = importlib.import_module(f"docs.models.{name}").figure()
            figure.savefig(FOLDER / f"{name}.png", metadata={"Software": None}, bbox_inches="tight")
            print(f"docs/models/{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
