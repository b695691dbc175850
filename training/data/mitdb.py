"""The MIT-BIH Arrhythmia Database as PhysioNet publishes it, and the beats that the hybrid-memory article learns from.

48 half-hour recordings of two leads at 360 Hz, 200 counts a mV, every beat annotated. Leads are in the order of the
record, which is not the same for all (114 has V5 before MLII). `mitdb.sha256` beside this file holds the published sums
of the release 1.0.0. Records come from mitdb/ of a data directory or from a mirror.

The article trains on 10,000 normal and 10,000 abnormal beats of 47 patients, and tests on record 208. Which ones those
were is not published: here they are drawn by `SELECTION_SEED`.

G. B. Moody, R. G. Mark, IEEE Eng. Med. Biol. 20(3), 45 (2001); A. L. Goldberger et al., Circulation 101, e215 (2000).
ODC-By 1.0.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16
from tqdm import tqdm

from training.data.sources import Source, contents

MIRRORS = ("https://physionet.org/files/mitdb/1.0.0/", "https://physionet-open.s3.amazonaws.com/mitdb/1.0.0/")
SUMS = Path(__file__).with_suffix(".sha256")
TESTED = 208
"""The patient that is tested on, and not trained on."""
NORMAL, ABNORMAL = "N", "LRejAaJSVEF/fQ"
"""Annotations that are beats, of those that occur."""
BEFORE, WIDTH = 126, 252
"""Samples of a beat up to its R peak, and in all: 700 ms."""
EACH = 10_000
"""Beats of either kind to train and choose with."""
SELECTION_SEED = 20250102
"""Which ones those are."""


class Cut(NamedTuple):
    """Beats in counts of the converter, their annotations and whose they are."""

    beats: Int16[np.ndarray, "beats 252 2"]
    symbol: np.ndarray
    record: Int16[np.ndarray, " beats"]


def sources() -> dict[int, list[Source]]:
    """The three files of every record: annotations, samples, header."""
    files: dict[int, list[Source]] = {}
    for line in SUMS.read_text().splitlines():
        sha256, name = line.split()
        addresses = [f"{mirror}{name}" for mirror in MIRRORS]
        files.setdefault(int(name[:3]), []).append(Source(f"mitdb/{name}", sha256, addresses))
    return files


def cut(number: int, files: Sequence[Source], data: Path | None) -> Cut:
    """All beats of a record whose window lies within it.

    Raises:
        InputError: a file is damaged, or not to be had.
    """
    raw = {Path(source.path).name: contents(source, data) for source in files}
    import wfdb  # after the files, without which its second to load is wasted

    with tempfile.TemporaryDirectory() as folder:  # together and whole, wherever they lay
        for file, content in raw.items():
            (Path(folder) / file).write_bytes(content)
        name = str(Path(folder) / str(number))
        signal = wfdb.rdrecord(name, physical=False).d_signal
        marks = wfdb.rdann(name, "atr")
    symbol, start = np.asarray(marks.symbol), np.asarray(marks.sample) - BEFORE
    whole = np.isin(symbol, list(NORMAL + ABNORMAL)) & (start >= 0) & (start + WIDTH <= len(signal))
    rows = start[whole, None] + np.arange(WIDTH)
    return Cut(signal[rows].astype(np.int16), symbol[whole], np.full(whole.sum(), number, np.int16))


def selected(cuts: Iterable[Cut], each: int = EACH) -> Cut:
    """All beats of record 208, and at most `each` normal and `each` abnormal ones of the others."""
    beats, symbol, record = (np.concatenate(part) for part in zip(*cuts, strict=True))
    random, tested = np.random.default_rng(SELECTION_SEED), record == TESTED
    chosen = [np.flatnonzero(tested)]
    for kind in (symbol == NORMAL, symbol != NORMAL):
        others = np.flatnonzero(kind & ~tested)
        chosen.append(random.choice(others, min(each, len(others)), replace=False))
    index = np.sort(np.concatenate(chosen))
    return Cut(beats[index], symbol[index], record[index])


def load_selection(data: Path | None = None) -> Cut:
    """The beats to learn from and to test on, out of all records.

    Raises:
        InputError: a file is damaged, or not to be had.
    """
    records = tqdm(sources().items(), desc="records of the MIT-BIH database", disable=None)
    return selected(cut(number, files, data) for number, files in records)
