"""The Brown corpus: 500 American texts of 1961, each token with its part of speech.

As events: of sentences to tag, and of texts to go on with, character by character.

References
----------
W. N. Francis, H. Kucera, "Brown corpus manual", 1979.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tidegate.errors import InputError

__all__ = [
    "Document",
    "base_tag",
    "character_events",
    "part",
    "read",
    "shape",
    "token_events",
    "word_events",
]

_TEXT = re.compile(r"package/(c[a-r]\d\d)")
_MODIFIERS = re.compile(r"(-(tl|hl|nc))+$")
_RUNS = re.compile(r"(.)\1+")


@dataclass(frozen=True)
class Document:
    """A text.

    Parameters
    ----------
    name : str
        ``ca01`` to ``cr09``; the second letter is the genre (a: press reportage, n: adventure).
    sentences : list of list of (str, str)
        Words, with their tags as the corpus has them.
    """

    name: str
    sentences: list[list[tuple[str, str]]]

    @property
    def text(self) -> str:
        """Its words with a space between them, and a line for each sentence."""
        return "".join(" ".join(word for word, _ in each) + "\n" for each in self.sentences)


def read(folder: str | Path) -> list[Document]:
    """Read the texts, in the order of their names.

    Parameters
    ----------
    folder : str or Path
        From ``datasets.fetch("brown")``.

    Raises
    ------
    InputError
        ``missing_file``.
    """
    path = Path(folder, "brown.tgz")
    if not path.is_file():
        raise InputError(
            "missing_file",
            "there is no brown.tgz",
            field=str(folder),
            hint="give the folder that `tidegate datasets fetch brown` prints",
        )
    texts = {}
    with tarfile.open(path) as packed:
        for member in packed:
            named, content = _TEXT.fullmatch(member.name), packed.extractfile(member)
            if named and content:
                texts[named[1]] = content.read().decode()
    return [Document(name, parse(texts[name])) for name in sorted(texts)]


def parse(text: str) -> list[list[tuple[str, str]]]:
    r"""Read the sentences of a text: a line each, of words with their tags.

    Examples
    --------
    >>> parse("\n\tThe/at 1/2/cd jury/nn\n\n./.\n")
    [[('The', 'at'), ('1/2', 'cd'), ('jury', 'nn')], [('.', '.')]]
    """
    lines = (line.split() for line in text.splitlines())
    return [[_parted(token) for token in line] for line in lines if line]


def base_tag(tag: str) -> str:
    """Return a tag without what it says of titles, headlines, citations and foreign words.

    Of the 472 tags that occur, 190 are left.

    Examples
    --------
    >>> [base_tag(tag) for tag in ("nn-tl-hl", "fw-in+nn", "ppss+hvd", "--")]
    ['nn', 'in+nn', 'ppss+hvd', '--']
    """
    return _MODIFIERS.sub("", tag.removeprefix("fw-"))


def shape(word: str) -> str:
    """Return how a word is written: capitals, small letters and digits, runs cut to one.

    Examples
    --------
    >>> [shape(word) for word in ("Jury", "U.S.", "1961's", "mid-1950s", "``")]
    ['Xx', 'X.X.', "d'x", 'x-dx', '`']
    """
    signs = (
        "X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word
    )
    return _RUNS.sub(r"\1", "".join(signs))


def part(name: str) -> str:
    """Return the part that a text belongs to: every tenth of a genre validates, every tenth tests.

    Examples
    --------
    >>> [part(name) for name in ("ca07", "ca08", "ca19")]
    ['train', 'valid', 'test']
    """
    return {"8": "valid", "9": "test"}.get(name[-1], "train")


def token_events(documents: Iterable[Document]) -> pl.DataFrame:
    """Return sentences as sessions, their tokens as events.

    Returns
    -------
    polars.DataFrame
        ``session`` (``ca01/1`` and on), ``word``, ``suffix`` (its last three characters, small),
        ``shape``, ``tag`` (the label; see `base_tag`) and ``part``.
    """
    rows = [
        (f"{each.name}/{at}", word, word[-3:].lower(), shape(word), base_tag(tag), part(each.name))
        for each in documents
        for at, sentence in enumerate(each.sentences, 1)
        for word, tag in sentence
    ]
    names = ("session", "word", "suffix", "shape", "tag", "part")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def character_events(documents: Iterable[Document]) -> pl.DataFrame:
    """Return texts as sessions, their characters as events.

    Returns
    -------
    polars.DataFrame
        ``session`` (the text's name), ``character`` and ``part``.
    """
    return _texts(documents, "character", lambda each: list(each.text))


def word_events(documents: Iterable[Document]) -> pl.DataFrame:
    r"""Return texts as sessions, their words as events, and ``\n`` behind each sentence.

    Returns
    -------
    polars.DataFrame
        ``session`` (the text's name), ``word`` and ``part``.
    """
    return _texts(
        documents,
        "word",
        lambda each: [w for s in each.sentences for w in (*(t[0] for t in s), "\n")],
    )


def _texts(
    documents: Iterable[Document], field: str, tokens: Callable[[Document], Sequence[str]]
) -> pl.DataFrame:
    frames = [
        pl.DataFrame({field: tokens(each)}).select(
            pl.lit(each.name).alias("session"), field, pl.lit(part(each.name)).alias("part")
        )
        for each in documents
    ]
    return pl.concat(frames)


def _parted(token: str) -> tuple[str, str]:
    word, _, tag = token.rpartition("/")
    return word, tag
