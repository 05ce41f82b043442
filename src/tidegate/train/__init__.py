"""Training: from tables of events to a bundle.

`run` does what a configuration file says. `train_model` and `save_bundle` are its two halves, for
tables that a program has prepared; `make_bundle` is the second without the disk, `fit` the loop
beneath the first. `cross_validation` asks what would have been forecast from several cutoffs.
"""

from tidegate.data.augment import Augment
from tidegate.train.backtest import cross_validation
from tidegate.train.config import TrainConfig, load_config, parse_config
from tidegate.train.diagnostics import Diagnosis, LayerDiagnosis
from tidegate.train.fit import FitResult, fit
from tidegate.train.history import Clipping, Epoch
from tidegate.train.leaks import Leak, LeakReport, check_leaks
from tidegate.train.package import make_bundle, save_bundle
from tidegate.train.predict import predict
from tidegate.train.progress import Listener, TensorBoard, Terminal
from tidegate.train.run import run
from tidegate.train.sequences import Sequences
from tidegate.train.settings import ModelSettings, TrainSettings
from tidegate.train.tbptt import Carry
from tidegate.train.trained import Trained, train_model

__all__ = [
    "Augment",
    "Carry",
    "Clipping",
    "Diagnosis",
    "Epoch",
    "FitResult",
    "LayerDiagnosis",
    "Leak",
    "LeakReport",
    "Listener",
    "ModelSettings",
    "Sequences",
    "TensorBoard",
    "Terminal",
    "TrainConfig",
    "TrainSettings",
    "Trained",
    "check_leaks",
    "cross_validation",
    "fit",
    "load_config",
    "make_bundle",
    "parse_config",
    "predict",
    "run",
    "save_bundle",
    "train_model",
]
