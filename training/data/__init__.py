"""Data sets of the experiments: a local directory first, then public mirrors.

    load_digits()            scikit-learn's 8 x 8 digits, bundled
    load_mnist(data)         MNIST, 28 x 28
    load_fashion_mnist(data) Fashion-MNIST, 28 x 28
    load_beats(data)         heartbeats of the MIT-BIH database, the task of the hybrid-memory article
    load_heartbeats(data)    their spectra, 20 numbers a beat
    load_text(path, data)    characters of a text

`data` is --data or None; `sources.directories` says where else is looked. Where the data are changes no number, but for
the beats: without the file of that task another selection is drawn from the records.
"""

from training.data.digits import load_digits as load_digits
from training.data.heartbeats import load_heartbeats as load_heartbeats
from training.data.idx import load_fashion_mnist as load_fashion_mnist
from training.data.idx import load_mnist as load_mnist
from training.data.mitbih import load_beats as load_beats
from training.data.sets import Dataset as Dataset
from training.data.sets import Split as Split
from training.data.text import load_text as load_text
