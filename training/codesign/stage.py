"""A part of a study that is done in one go."""

from collections.abc import Callable
from typing import Any, NamedTuple

Found = dict[str, Any]
"""What a stage found, ready for JSON."""


class Stage(NamedTuple):
    """One step of the job.

    Args:
        name: under which what it finds is kept.
        run: from what the stages before it found, by name, to what this one finds. It depends on the configuration and
            on that alone.
    """

    name: str
    run: Callable[[dict[str, Found]], Found]
