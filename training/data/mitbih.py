"""Heartbeats of the MIT-BIH Arrhythmia Database, normal or not: the online task of the hybrid-memory article.

A file `mitbih_online_task.npz` of a data directory holds

    beats   int16 (beats, 252, 2): 700 ms at 360 Hz about each R peak, both leads; 0 mV = 1024, 200 counts a mV
    symbol  text (beats): the annotation, "N" for normal
    record  int (beats): number of the record

with 10,000 normal and 10,000 abnormal beats from all records but 208, and all beats of 208, the patient tested on. The
selection has no public mirror; the records are at physionet.org/content/mitdb (ODC-By 1.0; G. B. Moody, R. G. Mark,
IEEE Eng. Med. Biol. 20(3), 45 (2001)).
"""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from hfsim.errors import InputError
from training.data.sets import Dataset, Split
from training.data.sources import find, missing

FILE = "mitbih_online_task.npz"
TESTED = 208
ZERO, COUNTS_PER_MV = 1024, 200.0
VALIDATION_RECORDS = (105, 116, 200, 213, 231)
"""Five patients to choose by, our choice: neither trained nor tested on."""


class Beats(NamedTuple):
    """Signals [mV], whether they are abnormal, and whose they are."""

    signal: Float[np.ndarray, "beats 252 2"]
    abnormal: Bool[np.ndarray, " beats"]
    record: Int[np.ndarray, " beats"]

    def dataset(self) -> Dataset:
        """Patients apart: record 208 to test on, five records to choose by, the others to train on [mV]."""
        tested, chosen = self.record == TESTED, np.isin(self.record, VALIDATION_RECORDS)
        features = self.signal.reshape(len(self.signal), -1)
        labels = self.abnormal.astype(np.int32)
        masks = (~tested & ~chosen, chosen, tested)
        return Dataset("mitbih", *(Split(features[m], labels[m]) for m in masks), classes=2)


def load_beats(data: Path | None = None) -> Beats:
    """All beats of the file.

    Raises:
        InputError: there is none, or it is another.
    """
    place = find(FILE, data)
    if place is None:
        raise missing(FILE, data, "no mirror has this selection: training/data/mitbih.py says what the file holds")
    try:
        with np.load(place, allow_pickle=False) as file:
            beats, symbol, record = (file[name] for name in ("beats", "symbol", "record"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(str(place), "hold beats, symbol and record", f"damaged ({error})") from error
    if beats.shape[1:] != (252, 2) or not len(beats) == len(symbol) == len(record):
        raise InputError(str(place), "hold beats of shape (n, 252, 2)", f"of shape {beats.shape}")
    signal = (beats.astype(np.float32) - ZERO) / COUNTS_PER_MV
    return Beats(signal, symbol != "N", record.astype(np.int32))
