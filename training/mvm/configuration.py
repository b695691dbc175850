"""The options of the matrix-vector benchmark."""

import dataclasses
from typing import ClassVar

from training.job import Configuration


@dataclasses.dataclass(frozen=True)
class MatrixVector(Configuration):
    """Error of matrix-vector products of a memristor array from programming to ten years.

    W and the input vectors are uniform in [-1, 1], inputs have 6 bits, outputs 8 bits with a bound of 15: the
    benchmark that was published for CMO/HfOx. On CMO/HfOx, Wan et al.'s ReRAM and phase-change memory, with and without
    the lines' resistance, with and without rounding; then one modelling choice after another. Nothing is tuned.
    """

    name: ClassVar[str] = "mvm"
    chips: int = 200
    """Arrays, each with its own weights, inputs, programming and relaxation."""
    size: int = 64
    """Rows and outputs of an array."""
    vectors: int = 100
    """Inputs of each array."""
    cases: tuple[str, ...] = ()
    """Which cases to do (names of training/mvm/cases.py), in place of all."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("chips", "size", "vectors")

    def job(self):
        from training.mvm.job import MatrixVectorJob

        return MatrixVectorJob(self)
