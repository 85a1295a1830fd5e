"""The AsyncAPI 3.0 document of the events: where each travels, in which form, and with which headers."""

from typing import Any

from heliograph.common.schemas.channels import CHANNELS, PARAMETERS, Channel
from heliograph.common.schemas.json_schema import components, kind_of

ASYNCAPI = "3.0.0"
API_VERSION = "1.0.0"
"""Grows with the events: minor for a new field or kind; a new major means new subjects."""
SCHEMA_FORMAT = "application/schema+json;version=draft-07"
HEADERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "traceparent": {
            "type": "string",
            "description": "W3C Trace Context of the span that published the message.",
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        },
        "Nats-Msg-Id": {
            "type": "string",
            "description": "Makes a second publication within ten minutes a no-op.",
        },
    },
}


def asyncapi_document() -> dict[str, Any]:
    """The document, ready for JSON."""
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Heliograph events",
            "version": API_VERSION,
            "description": (
                "Market data in, trading signals, their reasons and their outcomes out. Every payload is "
                "JSON; times are UTC nanoseconds since 1970 as integers. Each subject is stored by a "
                "JetStream stream, so that a subscriber can read live or from any point of the past."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "What `heliograph up` starts; it prints the address and the credentials.",
            }
        },
        "channels": {_key(channel): _channel(channel) for channel in CHANNELS},
        "operations": {_key(channel): _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {kind_of(e): _message(e.__name__, kind_of(e)) for c in CHANNELS for e in c.events},
            "messageTraits": {"traced": {"headers": HEADERS}},
            "schemas": components("#/components/schemas/{name}"),
        },
    }


def _key(channel: Channel) -> str:
    """The channel's key: its fixed tokens joined by `-`, since a key may not hold a dot."""
    return channel.name.replace(".", "-")


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "address": channel.address,
        "summary": channel.summary,
        "description": f"Stored by the stream {channel.stream}; written by {', '.join(channel.writers)}.",
        "parameters": {name: {"description": PARAMETERS[name]} for name in channel.parameters},
        "messages": {kind_of(e): {"$ref": f"#/components/messages/{kind_of(e)}"} for e in channel.events},
        "servers": [{"$ref": "#/servers/local"}],
    }


def _operation(channel: Channel) -> dict[str, Any]:
    key = _key(channel)
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{key}"},
        "summary": channel.summary,
        "messages": [{"$ref": f"#/channels/{key}/messages/{kind_of(e)}"} for e in channel.events],
    }


def _message(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": kind,
        "title": name,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/traced"}],
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"#/components/schemas/{name}"}},
    }
