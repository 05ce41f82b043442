"""Anomalies of NAB's real series with known causes: a recurrent layer's surprise, and baselines.

    .venv/bin/python benchmarks/nab.py --data FOLDER
    .venv/bin/python benchmarks/nab.py --table

FOLDER holds ``combined_windows.json`` and the seven files of ``realKnownCause``, as NAB has them
(https://github.com/numenta/NAB, in ``labels`` and ``data``). The score is NAB's, standard profile
(nab_score.py): of each detector the threshold that is best over these files together is taken, as
NAB does, with the labels in sight. It is not NAB's figure for all of its 58 files.

The detectors are those of nab_detectors.py.

Each run (detector, seed) writes a file, those that are there are not made again; what is done of a
run that was interrupted is kept in ``build/nab``, file by file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import nab_detectors as detectors
import nab_score
import numpy as np
import polars as pl
import runs
import torch

from tidegate.errors import InputError

WHERE = (
    "get data/realKnownCause and labels/combined_windows.json of https://github.com/numenta/NAB "
    "and give the folder that holds all of them"
)
FILES = (
    "ambient_temperature_system_failure",
    "cpu_utilization_asg_misconfiguration",
    "ec2_request_latency_system_failure",
    "machine_temperature_system_failure",
    "nyc_taxi",
    "rogue_agent_key_hold",
    "rogue_agent_key_updown",
)
HERE = Path(__file__).parent
RESULTS = runs.RESULTS / "nab"
CACHE = HERE.parent / "build" / "nab"


class NabRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector and a seed gave.

    Parameters
    ----------
    detector : str
        Of `nab_detectors.DETECTORS`.
    seed : int
        Of weights and windows, or of trees.
    score : float
        NAB's, standard profile, on these files.
    threshold : float
        The best one.
    found, windows, false_alarms : int
        Windows with an alarm, all of them, and alarms outside.
    files : dict of str to float
        Each file's score at that threshold.
    settings : dict
        Of the detector.
    cpu_seconds : float
        Of all files.
    place : Place
        Where.
    """

    detector: str
    seed: int
    score: float
    threshold: float
    found: int
    windows: int
    false_alarms: int
    files: dict[str, float]
    settings: dict[str, Any]
    cpu_seconds: float
    place: runs.Place


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2, 3, 4], quick="a small, poor model")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with NAB's files")
    parser.add_argument(
        "--detectors", nargs="+", choices=detectors.DETECTORS, default=["gaussian", "range", "gru"]
    )
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="of what is done of a run")
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if options.table:
        print(table(out))
        return
    torch.set_num_threads(1)
    series = read(options.data)
    learning = (
        detectors.Learning(units=4, first=2, steps=1, windows=2)
        if options.quick
        else detectors.Learning()
    )
    for detector in options.detectors:
        for seed in options.seeds if detector in detectors.SEEDED else [0]:
            path = out / f"{detector}-seed{seed}.json"
            cache = (options.cache or (out if options.quick else CACHE)) / path.stem
            its = partial(make, detector, seed, series, learning, cache)
            runs.once(path, its, lambda run: f"{run.score:.1f}")
    print(table(out))


def read(folder: Path | None) -> dict[str, detectors.Series]:
    """Read the series and their windows.

    Raises
    ------
    InputError
        ``no_data``, with where to get them; ``bad_data``.
    """
    names = ["combined_windows.json", *(f"{name}.csv" for name in FILES)]
    folder = runs.folder_with(folder, names, WHERE)
    try:
        windows = json.loads((folder / names[0]).read_text())
        return {
            name: read_series(folder / f"{name}.csv", windows[f"realKnownCause/{name}.csv"])
            for name in FILES
        }
    except (ValueError, KeyError, IndexError, TypeError, pl.exceptions.PolarsError) as error:
        hint = "get the files anew"
        raise InputError("bad_data", str(error), field=str(folder), hint=hint) from error


def read_series(path: Path, windows: list[list[str]]) -> detectors.Series:
    """Read a file of timestamps and values; windows are first and last instants."""
    table = pl.read_csv(path, schema_overrides={"value": pl.Float64})
    times = table["timestamp"].str.to_datetime("%Y-%m-%d %H:%M:%S").dt.epoch("s").to_numpy()
    rows = []
    for window in windows:
        first, last = (np.datetime64(instant, "s").astype(np.int64) for instant in window)
        inside = np.flatnonzero((times >= first) & (times <= last))
        rows.append((int(inside[0]), int(inside[-1])))
    labels = nab_score.Labels(len(times), rows)
    return detectors.Series(times.astype(np.float64), table["value"].to_numpy(), labels)


def make(
    detector: str,
    seed: int,
    series: Mapping[str, detectors.Series],
    learning: detectors.Learning,
    cache: Path,
) -> NabRun:
    """Score all files, those that the cache lacks anew, and measure."""
    scores, seconds = [], 0.0
    for name, each in series.items():
        kept = cache / f"{name}.npz"
        if not kept.exists():
            began = time.process_time()
            found = detectors.DETECTORS[detector](each, seed, learning)
            cache.mkdir(parents=True, exist_ok=True)
            np.savez(kept, scores=found, seconds=time.process_time() - began)
        with np.load(kept) as done:
            scores.append(done["scores"])
            seconds += float(done["seconds"])
    labels = [each.labels for each in series.values()]
    best = nab_score.best(scores, labels)
    return NabRun(
        detector=detector,
        seed=seed,
        score=best.normalised,
        threshold=best.threshold,
        found=best.found,
        windows=best.windows,
        false_alarms=best.false_alarms,
        files={
            name: nab_score.score([each], [known], best.threshold).normalised
            for name, each, known in zip(series, scores, labels, strict=True)
        },
        settings=detectors.settings(detector, learning),
        cpu_seconds=round(seconds, 1),
        place=runs.Place.here(),
    )


TITLES = {
    "gaussian": "windowed Gaussian",
    "range": "outside of all so far",
    "rrcf": "random cut forest (rrcf)",
    "gru": "GRU, surprise, and outside of all so far",
}


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    groups: dict[str, list[NabRun]] = {}
    for run in runs.read(folder, NabRun):
        groups.setdefault(run.detector, []).append(run)
    rows = [
        [
            TITLES[detector],
            runs.spread([run.score for run in found], 1),
            runs.spread([run.found for run in found], 1) + f" of {found[0].windows}",
            runs.spread([run.false_alarms for run in found], 0),
            f"{len(found)}",
            f"{sum(run.cpu_seconds for run in found) / len(found):,.0f}",
        ]
        for detector in detectors.DETECTORS
        if (found := groups.get(detector))
    ]
    header = ("detector", "score", "windows found", "false alarms", "seeds", "CPU seconds a seed")
    return runs.markdown(header, rows, words=1)


if __name__ == "__main__":
    runs.script(main)
