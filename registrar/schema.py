"""The JSON Schema of the configuration, for editors: the shape, and what the plugins add to it."""

from __future__ import annotations

from pydantic import JsonValue
from pydantic.json_schema import GenerateJsonSchema

from registrar.plugins import installed_sources, load_source
from registrar.settings import Settings
from registrar.shape import OPTIONS_OF_PLUGINS, QUERY_OF_PLUGINS, ConfigSettings

_PLACES = {OPTIONS_OF_PLUGINS: "SourceOptions", QUERY_OF_PLUGINS: "SourceQuery"}


def config_schema() -> dict[str, JsonValue]:
    """Return the schema, with the options and queries of every source type that is installed."""
    definitions: dict[str, JsonValue] = {}
    root = _schema_of(ConfigSettings, definitions)
    options: list[JsonValue] = []
    queries: list[JsonValue] = []
    for name, point in sorted(installed_sources().items()):
        plugin = load_source(point)
        options.append(
            _with("type", {"const": name}, _schema_of(plugin.options_class, definitions))
        )
        queries.append(
            _with("source", {"type": "string"}, _schema_of(plugin.query_class, definitions))
        )
    definitions["SourceOptions"] = {"anyOf": options}
    definitions["SourceQuery"] = {"anyOf": queries}
    whole = {**root, "title": "registrar configuration", "$defs": definitions}
    return {"$schema": GenerateJsonSchema.schema_dialect, **_linked(whole)}


def _linked(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a schema with the places that belong to plugins made references."""
    return {key: _link(value) for key, value in schema.items()}


def _link(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_link(item) for item in value]
    if not isinstance(value, dict):
        return value
    target = _PLACES.get(str(value.get("$comment")))
    return {"$ref": f"#/$defs/{target}"} if target else _linked(value)


def _schema_of(model: type[Settings], definitions: dict[str, JsonValue]) -> dict[str, JsonValue]:
    schema: dict[str, JsonValue] = model.model_json_schema()
    own = schema.pop("$defs", {})
    if isinstance(own, dict):
        definitions.update(own)
    return schema


def _with(key: str, kind: JsonValue, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    assert isinstance(properties, dict)  # noqa: S101  so says JSON Schema
    assert isinstance(required, list)  # noqa: S101  for the type alone
    return {**schema, "properties": {key: kind, **properties}, "required": [key, *required]}
