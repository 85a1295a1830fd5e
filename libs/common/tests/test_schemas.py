"""The events' documents are what the code makes, and every golden event of every version stays readable."""

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from heliograph.common import subjects
from heliograph.common.events import EVENT_TYPES, AnyEvent, Event, Signal, encode, identity_sha256
from heliograph.common.schemas.__main__ import main
from heliograph.common.schemas.asyncapi import asyncapi_document
from heliograph.common.schemas.channels import CHANNELS, PARAMETERS, Channel
from heliograph.common.schemas.files import documents
from heliograph.common.schemas.json_schema import event_schema, kind_of

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "events"
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
TOKENS = {
    "shard": "7",
    "symbol": "BRK%2EB",
    "service": "tracker",
    "run": "r1",
    "agent": "a",
    "alert": "x",
}
OPTIONAL_EVERYWHERE = ("cause", "v", "received")

decoder = msgspec.json.Decoder(AnyEvent)


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def validator(event: type[Event]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(event_schema(event))


@pytest.mark.parametrize("name", documents())
def test_committed_document_is_what_the_code_makes(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == documents()[name], (
        "an event has changed: run `python -m heliograph.common.schemas docs/events`, look at the difference"
    )


def test_no_document_is_left_over() -> None:
    assert {path.name for path in DOCS.glob("*.json")} == set(documents())


def test_every_kind_has_a_golden_file() -> None:
    assert {path.name for path in GOLDEN} >= {f"{kind_of(event)}.v1.json" for event in EVENT_TYPES}


def test_golden_event_decodes_and_encodes_to_the_same_json(golden: Path) -> None:
    event = decoder.decode(golden.read_bytes())
    assert golden.stem == f"{kind_of(type(event))}.v{event.v}"
    assert json.loads(encode(event)) == json.loads(golden.read_bytes())


def test_golden_event_is_valid_under_its_schema(golden: Path) -> None:
    event = decoder.decode(golden.read_bytes())
    validator(type(event)).validate(json.loads(golden.read_bytes()))


def test_reader_ignores_a_field_of_a_later_version(golden: Path) -> None:
    later = json.loads(golden.read_bytes()) | {"a_field_of_a_later_version": [1, {"x": None}]}
    event = decoder.decode(json.dumps(later))
    assert event == decoder.decode(golden.read_bytes())
    validator(type(event)).validate(later)


def test_reader_takes_defaults_for_fields_with_one(golden: Path) -> None:
    full = json.loads(golden.read_bytes())
    kept = {name: value for name, value in full.items() if name not in OPTIONAL_EVERYWHERE}
    event = decoder.decode(json.dumps(kept))
    assert (event.cause, event.v, event.received) == ("", 1, 0)
    validator(type(event)).validate(kept)


def test_schema_and_decoder_refuse_the_same_gap(golden: Path) -> None:
    full = json.loads(golden.read_bytes())
    event = type(decoder.decode(golden.read_bytes()))
    for name in event_schema(event)["required"]:
        gap = {key: value for key, value in full.items() if key != name}
        assert not validator(event).is_valid(gap), name
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(json.dumps(gap))


def test_golden_signal_carries_the_hash_of_its_identity() -> None:
    (path,) = [path for path in GOLDEN if path.name == "signal.v1.json"]
    signal = msgspec.json.decode(path.read_bytes(), type=Signal)
    identity = ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
    assert signal.sha256 == identity_sha256(**{name: getattr(signal, name) for name in identity})


@pytest.mark.parametrize("event", EVENT_TYPES, ids=kind_of)
def test_schema_is_a_schema_and_stands_alone(event: type[Event]) -> None:
    schema = event_schema(event)
    jsonschema.Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("event", EVENT_TYPES, ids=kind_of)
def test_descriptions_come_from_the_docstrings(event: type[Event]) -> None:
    schema = event_schema(event)
    assert "Attributes:" not in schema["description"]
    assert all("description" in schema["properties"][name] for name in ("id", "cause", "ts", "v", "received"))


def example(channel: Channel) -> str:
    return channel.address.format_map(TOKENS)


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS filter (`*`, a final `>`) matches a subject."""
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(">", r".+")
    return re.fullmatch(expression, subject) is not None


def test_every_event_travels_somewhere() -> None:
    assert {event for channel in CHANNELS for event in channel.events} == set(EVENT_TYPES)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda c: c.name)
def test_exactly_the_named_stream_stores_the_channel(channel: Channel) -> None:
    storing = [s.name for s in subjects.STREAMS if any(matches(p, example(channel)) for p in s.subjects)]
    assert storing == [channel.stream]
    assert matches(channel.wildcard, example(channel))


def test_addresses_agree_with_the_subjects_that_the_services_use() -> None:
    used = {
        subjects.bars(7): "input.bars.{shard}",
        subjects.signal(7, "BRK.B"): "signal.{shard}.{symbol}",
        subjects.reason(7, "BRK.B"): "reason.{shard}.{symbol}",
        subjects.outcome(7, "BRK.B"): "outcome.{shard}.{symbol}",
        subjects.analysis("r1", "a"): "analysis.{run}.{agent}",
        subjects.dead("tracker", 7): "dead.{service}.{shard}",
    }
    made = {channel.address: example(channel) for channel in CHANNELS}
    assert {address: made[address] for address in used.values()} == {a: s for s, a in used.items()}


def resolve(document: dict[str, Any], reference: str) -> object:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_asyncapi_references_resolve() -> None:
    document = asyncapi_document()
    references = re.findall(r'"\$ref": "([^"]*)"', json.dumps(document))
    assert references
    for reference in references:
        assert resolve(document, reference), reference


def test_asyncapi_parameters_are_those_of_the_address() -> None:
    document = asyncapi_document()
    assert document["asyncapi"] == "3.0.0"
    for channel in document["channels"].values():
        assert list(channel["parameters"]) == re.findall(r"{(\w+)}", channel["address"])
        assert set(channel["parameters"]) <= set(PARAMETERS)


def test_asyncapi_operations_send_what_their_channel_holds() -> None:
    document = asyncapi_document()
    for operation in document["operations"].values():
        channel: Any = resolve(document, operation["channel"]["$ref"])
        held = {f"{operation['channel']['$ref']}/messages/{kind}" for kind in channel["messages"]}
        assert {message["$ref"] for message in operation["messages"]} == held
        assert operation["action"] == "send"


def test_asyncapi_payload_schema_accepts_the_golden_event(golden: Path) -> None:
    document = asyncapi_document()
    content = json.loads(golden.read_bytes())
    payload = document["components"]["messages"][content["kind"]]["payload"]
    rooted = payload["schema"] | {"components": {"schemas": document["components"]["schemas"]}}
    jsonschema.Draft202012Validator(rooted).validate(content)


def test_asyncapi_document_is_valid_under_the_official_schema() -> None:
    path = os.environ.get("ASYNCAPI_SCHEMA")
    if not path:
        pytest.skip(
            "ASYNCAPI_SCHEMA is unset: no Python package carries the official schema; see CONTRIBUTING.md"
        )
    schema = json.loads(Path(path).read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(asyncapi_document())


def test_readme_names_every_event_subject_and_stream() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for channel in CHANNELS:
        subject = channel.address.replace("{", "<").replace("}", ">")
        for event in channel.events:
            named = (f"`{subject}`", f"[`{kind_of(event)}`]({kind_of(event)}.schema.json)", channel.stream)
            assert any(all(name in row for name in named) for row in rows), named


def test_command_writes_every_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "events"
    monkeypatch.setattr("sys.argv", ["schemas", str(folder)])
    main()
    assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in documents()]
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == documents()
