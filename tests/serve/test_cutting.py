"""What the log says of a store that cannot cut off what is outdated."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from logs import flip

from tidegate.errors import StoreError
from tidegate.serve.server import _watch_cutting
from tidegate.store import LogStore


def test_what_holds_up_the_cutting_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(LogStore(tmp_path)) as records:
        records.commit([(b"key", b"value")])
        flip(tmp_path / "0000000000000001.log", 64)
        with pytest.raises(StoreError):
            records.cut()

        async def watch() -> None:
            async with asyncio.timeout(20):
                task = asyncio.create_task(_watch_cutting(records))
                await said("cannot cut off")
                await asyncio.to_thread(records.commit, [(b"key", b"anew")])
                await asyncio.to_thread(records.cut)
                await said("again")
                task.cancel()

        async def said(text: str) -> None:
            while text not in caplog.text:
                await asyncio.sleep(0.01)

        asyncio.run(watch())
    assert [line.levelname for line in caplog.records] == ["WARNING", "WARNING"]
    assert "a current record in its oldest file cannot be read" in caplog.text
