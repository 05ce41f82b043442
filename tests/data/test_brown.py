"""The corpus as events, from an archive of two small texts."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tidegate.data import brown
from tidegate.errors import InputError

TEXTS = {
    "cb19": "\n\n\tThe/at County/nn-tl Jury/nn-hl 1/2/cd ./.\n\n\n\tThirty-three/cd-hl \n",
    "ca08": "\tHe/pps did/dod n't/* say/vb\n",
    "README": "a/b c/d",
}


@pytest.fixture
def documents(tmp_path: Path) -> list[brown.Document]:
    with tarfile.open(tmp_path / "brown.tgz", "w:gz") as packed:
        for name, text in TEXTS.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text)
            packed.addfile(info, io.BytesIO(text.encode()))
    return brown.read(tmp_path)


def test_texts_are_read_in_the_order_of_their_names(documents: list[brown.Document]) -> None:
    assert [each.name for each in documents] == ["ca08", "cb19"]
    assert documents[1].sentences[1] == [("Thirty-three", "cd-hl")]
    assert documents[1].text == "The County Jury 1/2 .\nThirty-three\n"


def test_sentences_are_sessions_of_tokens(documents: list[brown.Document]) -> None:
    events = brown.token_events(documents)
    assert events.columns == ["session", "word", "suffix", "shape", "tag", "part"]
    assert events.row(0) == ("ca08/1", "He", "he", "Xx", "pps", "valid")
    assert events.row(5) == ("cb19/1", "County", "nty", "Xx", "nn", "test")
    assert events["session"].unique(maintain_order=True).to_list() == ["ca08/1", "cb19/1", "cb19/2"]


def test_texts_are_sessions_of_characters_and_of_words(documents: list[brown.Document]) -> None:
    events = brown.character_events(documents)
    assert "".join(events["character"]) == documents[0].text + documents[1].text
    assert events["part"].unique(maintain_order=True).to_list() == ["valid", "test"]
    words = brown.word_events(documents).filter(session="cb19")["word"].to_list()
    assert words == ["The", "County", "Jury", "1/2", ".", "\n", "Thirty-three", "\n"]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="datasets fetch brown") as refused:
        brown.read(tmp_path)
    assert refused.value.code == "missing_file"
