"""ETTh1: the file, the parts of its seven series, and how far off forecasts of them are.

``ETTh1.csv`` (Zhou et al. 2021) has oil temperature and loads of a transformer. The
protocol is that of Zeng et al. (2023): training, validation and test are the first 12, 4 and 4
months of 30 days, every series is standardised by its training part, and a forecast is made at
every hour from which all its hours lie in the test part. Figures are the mean squared and the mean
absolute error over all hours, series and forecasts, standardised. What is known before a part
begins may be read, but not learned from.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import runs
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate.errors import InputError

FILE = "ETTh1.csv"
WHERE = "get ETT-small/ETTh1.csv of https://github.com/zhouhaoyi/ETDataset"
MONTH = 30 * 24
DAY = 24


class Errors(msgspec.Struct, frozen=True):
    """Mean squared and mean absolute error."""

    mse: float
    mae: float


@dataclass(frozen=True)
class Record:
    """The seven series.

    Parameters
    ----------
    values : float32 tensor (7, hours)
        Standardised.
    level : float32 tensor (7, hours)
        The running mean, up to each hour.
    bounds : tuple of int
        Hours at which training, validation and test end.
    """

    values: Tensor
    level: Tensor
    bounds: tuple[int, int, int]


def read(folder: Path | None, months: tuple[int, int, int], level: int) -> Record:
    """Read the series and standardise them by the training part.

    Parameters
    ----------
    folder : Path, optional
        That has the file.
    months : tuple of int
        Of training, validation and test.
    level : int
        Hours of the running mean.

    Raises
    ------
    InputError
        ``no_data``, with where to get it; ``bad_data``: not the file.
    """
    path = runs.folder_with(folder, [FILE], WHERE) / FILE
    ends = np.cumsum(months) * MONTH
    try:
        with path.open(newline="") as file:
            lines = list(csv.reader(file))[1 : ends[-1] + 1]
        raw = np.array([[float(cell) for cell in line[1:]] for line in lines])
    except (OSError, ValueError) as error:
        raise _bad_data(path, str(error)) from error
    if raw.ndim != 2 or len(raw) < ends[-1]:
        raise _bad_data(path, f"it does not have {ends[-1]:,} hours")
    known = raw[: ends[0]]
    values = (raw - known.mean(axis=0)) / known.std(axis=0)
    bounds = (int(ends[0]), int(ends[1]), int(ends[2]))
    return Record(_series(values), _series(running_mean(values, level)), bounds)


def _series(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float32))


def _bad_data(path: Path, message: str) -> InputError:
    return InputError("bad_data", message, field=path.name, hint="fetch it again")


def running_mean(values: NDArray[np.float64], hours: int) -> NDArray[np.float64]:
    """Return the mean up to each hour: of all values at first, then one that forgets.

    Parameters
    ----------
    values : float64 array (hours, series)
        Of each hour.
    hours : int
        After so many, each new value moves the mean by one part in so many.
    """
    means, mean = np.empty_like(values), np.zeros(values.shape[1])
    for hour, value in enumerate(values):
        mean = mean + (value - mean) / min(hour + 1, hours)
        means[hour] = mean
    return means


def origins(record: Record, part: int, horizon: int) -> Tensor:
    """Return the hours from which a part is forecast, all of it known: 1, validation; 2, test."""
    return torch.arange(record.bounds[part - 1] - 1, record.bounds[part] - horizon)


def naive(record: Record, part: int, horizon: int, season: int) -> Errors:
    """Return the errors of forecasting the value of a season ago."""
    hours, back = origins(record, part, horizon), torch.arange(horizon) % season - season + 1
    sums = Sums()
    sums.add(record, hours, record.values[:, hours[:, None] + back])
    return sums.errors()


class Sums:
    """Errors, added up."""

    def __init__(self) -> None:
        self.squares = self.sizes = 0.0
        self.count = 0

    def add(self, record: Record, hours: Tensor, found: Tensor) -> None:
        """Add those of forecasts (7, n, horizon) made at some hours, (n,)."""
        ahead = hours[:, None] + torch.arange(1, found.shape[2] + 1)
        errors = found - record.values[:, ahead]
        self.squares += errors.square().sum(dtype=torch.float64).item()
        self.sizes += errors.abs().sum(dtype=torch.float64).item()
        self.count += errors.numel()

    def errors(self) -> Errors:
        """Return the means."""
        return Errors(self.squares / self.count, self.sizes / self.count)
