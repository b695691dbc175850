"""Heartbeats of the MIT-BIH Arrhythmia Database, normal or not: the online task of the hybrid-memory article.

A file `mitbih_online_task.npz` of a data directory holds

    beats   int16 (beats, 252, 2): 700 ms at 360 Hz about each R peak, both leads; 0 mV = 1024, 200 counts a mV
    symbol  text (beats): the annotation, "N" for normal
    record  int (beats): number of the record

with 10,000 normal and 10,000 abnormal beats from all records but 208, and all beats of 208, the patient tested on.
Where there is no such file, such a selection is drawn from the records themselves (training/data/mitdb.py).
"""

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from hfsim.errors import InputError
from training.data.mitdb import NORMAL, TESTED, Cut, load_selection
from training.data.sets import Dataset, Split
from training.data.sources import find

FILE = "mitbih_online_task.npz"
ZERO, COUNTS_PER_MV = 1024, 200.0
VALIDATION_RECORDS = (105, 116, 200, 213, 231)
"""Five patients to choose by, our choice: neither trained nor tested on."""


class Beats(NamedTuple):
    """Signals [mV], whether they are abnormal, and whose they are."""

    signal: Float[np.ndarray, "beats 252 2"]
    abnormal: Bool[np.ndarray, " beats"]
    record: Int[np.ndarray, " beats"]

    @property
    def sha256(self) -> str:
        """Of all that is here."""
        found = hashlib.sha256()
        for part in self:
            found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    def dataset(self) -> Dataset:
        """Patients apart: record 208 to test on, five records to choose by, the others to train on [mV]."""
        tested, chosen = self.record == TESTED, np.isin(self.record, VALIDATION_RECORDS)
        features = self.signal.reshape(len(self.signal), -1)
        labels = self.abnormal.astype(np.int32)
        masks = (~tested & ~chosen, chosen, tested)
        return Dataset("mitbih", *(Split(features[m], labels[m]) for m in masks), classes=2)


def load_beats(data: Path | None = None) -> Beats:
    """All beats of the file, or else of a selection from PhysioNet's records.

    Raises:
        InputError: neither is to be had, or one is damaged.
    """
    place = find(FILE, data)
    beats, symbol, record = load_selection(data) if place is None else _read(place)
    signal = (beats.astype(np.float32) - ZERO) / COUNTS_PER_MV
    return Beats(signal, symbol != NORMAL, record.astype(np.int32))


def _read(place: Path) -> Cut:
    try:
        with np.load(place, allow_pickle=False) as file:
            beats, symbol, record = (file[name] for name in Cut._fields)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(str(place), "hold beats, symbol and record", f"damaged ({error})") from error
    if symbol.dtype.kind != "U":
        raise InputError(str(place), "hold symbols as text", f"{symbol.dtype}")
    if beats.shape[1:] != (252, 2) or not len(beats) == len(symbol) == len(record):
        raise InputError(str(place), "hold beats of shape (n, 252, 2)", f"of shape {beats.shape}")
    return Cut(beats, symbol, record)
