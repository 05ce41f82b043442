"""What the server says of itself is true: its document is valid, and its answers are as it says."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

import tidegate
from tidegate.bundle import Bundle
from tidegate.serve import openapi, openapi_page, rules
from tidegate.serve.codes import CODES
from tidegate.spec import TaskSpec

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def document(server: Any) -> Any:
    status, found = server.get("/openapi.json")
    assert status == 200
    return found


NDJSON = "application/x-ndjson"


@schemathesis.serializer(NDJSON)
def lines_of(_context: Any, events: Any) -> bytes:
    lines = events if isinstance(events, list) else [events]  # what violates the schema, too
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.deserializer(NDJSON)
def parsed_lines(_context: Any, response: schemathesis.Response) -> Any:
    return [json.loads(line) for line in response.content.splitlines()]


def with_lines(document: Any) -> Any:
    """The document with lines as lists, which a tool can make and check; Arrow is left out."""
    document = copy.deepcopy(document)
    post = document["paths"]["/v1/models/small/events"]["post"]
    for holder in (post["requestBody"], post["responses"]["200"]):
        line = holder["content"][NDJSON]["x-line-schema"]
        holder["content"] = {NDJSON: {"schema": {"type": "array", "items": line}}}
    return document


@pytest.fixture(scope="module")
def api(server: Any, document: Any) -> Any:
    loaded = schemathesis.openapi.from_dict(with_lines(document))
    loaded.config.update(base_url=f"http://127.0.0.1:{server.port}")
    return loaded


def test_whatever_is_sent_the_server_answers_as_it_says(api: Any) -> None:
    # One test over all operations: what makes one test of each does not know this pytest.
    operations = [result.ok() for result in api.get_all_operations()]
    for operation in operations:
        if operation.path.endswith("/ws"):
            continue
        try_operation(operation, schemathesis.GenerationMode.POSITIVE)
        if operation.method == "post" or "{" in operation.path:  # something can be wrong
            try_operation(operation, schemathesis.GenerationMode.NEGATIVE)


def try_operation(operation: Any, mode: schemathesis.GenerationMode) -> None:
    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=10)

    call()


def test_the_document_is_valid(document: Any) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)


def test_the_examples_are_what_the_server_answers(server: Any, document: Any) -> None:
    post = document["paths"]["/v1/models/small/sessions/{session}/events"]["post"]
    event = post["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    answer = post["responses"]["200"]["content"]["application/json"]["examples"]["one"]["value"]
    server.request("DELETE", server.path("bus-7"))
    assert server.post("bus-7", {**event, "start": True}) == (200, answer)
    lines = document["paths"]["/v1/models/small/events"]["post"]
    line = lines["requestBody"]["content"]["application/x-ndjson"]["example"]
    said = lines["responses"]["200"]["content"]["application/x-ndjson"]["example"]
    assert server.lines(line.encode()) == (200, [{**json.loads(said), "duplicate": True}])


ANSWERING = """
engine/refusals.py schema/faults.py schema/schema.py schema/typed.py serve/app.py serve/arrow.py
serve/arrow_bounds.py serve/batcher.py serve/block.py serve/intake.py serve/lines.py
serve/model.py serve/not_finite.py serve/operations.py serve/processor.py serve/refusals.py
serve/responses.py serve/rules.py serve/sockets.py serve/waits.py serve/wire.py
"""
"""What may refuse a request; the rest of the package refuses to start, or to train."""


def test_every_code_of_the_source_has_its_status_and_its_words() -> None:
    raised = set(typing.get_args(rules.Outcome)) - rules.STEPS - {"repeat"}
    for pattern in ANSWERING.split():
        for source in Path(tidegate.__file__).parent.glob(pattern):
            calls = re.findall(
                r"""(?:Error|_bad_column|super\(\).__init__)\(\s*"(\w+)\"""", source.read_text()
            )
            raised |= set(calls)
    raised -= {"bad_rows", "wrong_shape"}  # of callers within the package
    raised -= {"unsupported_spec", "unknown_backend"}  # when an engine is opened
    assert raised <= CODES.keys()
    assert raised >= CODES.keys() - {"constant_changed"}  # which is made of a number of the core


def test_the_schema_of_events_follows_the_fields(make_bundle: Callable[..., Bundle]) -> None:
    found = openapi.document({"late": make_bundle()})["components"]["schemas"]["late.Fields"]
    assert found["additionalProperties"] is False
    assert "required" not in found  # each may be missing, or is a constant
    assert {name: field["type"] for name, field in found["properties"].items()} == {
        "speed": ["number", "null"],
        "load": ["number", "null"],
        "road": ["string", "integer", "null"],
        "wet": ["boolean", "null"],
        "driver": ["string", "integer", "null"],
    }


def test_a_model_that_answers_a_number(make_bundle: Callable[..., Bundle]) -> None:
    task = TaskSpec("regress", "delay", target_mean=10.0, target_scale=4.0)
    made = openapi.document({"delay": dataclasses.replace(make_bundle(), task=task)})
    validate(made, cls=OpenAPIV31SpecValidator)
    assert made["components"]["schemas"]["delay.Words"]["required"] == ["value"]
    assert b"delay.Words" in openapi_page.page(made)


def test_the_page_shows_everything_and_loads_nothing(server: Any, document: Any) -> None:
    status, body, headers = server.request("GET", "/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body == openapi_page.page(document)
    html = body.decode()
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import|<link|fetch\(""", html)
    for path in document["paths"]:
        assert re.sub(r"(\{\w+\})", r"<i>\1</i>", path) in html
    for code in CODES:
        assert f"<code>{code}</code>" in html
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets <= set(re.findall(r'id="([^"]+)"', html))


def test_a_page_escapes_what_a_model_is_named(make_bundle: Callable[..., Bundle]) -> None:
    made = openapi.document({"late": make_bundle()})
    made["tags"][0]["description"] = "<script>alert(1)</script>"
    assert b"<script>alert" not in openapi_page.page(made)


def test_the_protocol_page_names_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    named = {
        code: int(status)
        for status, codes in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert named == {code: entry.status for code, entry in CODES.items()}
