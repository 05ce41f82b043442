"""Labelled events for the small bundles, and what a page may hold."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np

from tidegate.bundle import Bundle
from tidegate.tables import EventTable


def table_of(
    bundle: Bundle, random_events: Any, lengths: list[int], seed: int = 0, **columns: Any
) -> EventTable:
    """Events whose labels are drawn; no label on some, where each event has one."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    drawn = random_events(n, rng)
    found = dict(zip(bundle.schema.names, drawn.values(), strict=True))
    labels = rng.normal(size=n)
    if bundle.task.name == "classify":
        labels = rng.choice(np.array(bundle.task.classes, dtype=object), n)
        labels[rng.random(n) < 0.2] = None
    return EventTable(
        sessions=[f"s{i}" for i in range(len(lengths))],
        offsets=offsets,
        times=np.sort(rng.random(n)) * 1e6 + 1e9,
        columns={**found, **columns},
        labels=labels,
        source_rows=np.arange(n),
    )


class Loads(HTMLParser):
    """Everything in a page that could load or run something, and its ids and words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.dangers: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self._style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._style = tag == "style"
        if tag in {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}:
            self.dangers.append(tag)
        for name, value in attrs:
            value = value or ""
            if name.startswith("on"):
                self.dangers.append(name)
            local = value.startswith(("#", "data:image/png;base64,"))
            if name in {"src", "srcset", "href", "xlink:href", "action", "data"} and not local:
                self.dangers.append(f"{name}={value}")
            if "url(" in value and "url(#" not in value:
                self.dangers.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._style = self._style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._style and ("url(" in data or "@import" in data):
            self.dangers.append(data)
        self.words.append(data.strip())
