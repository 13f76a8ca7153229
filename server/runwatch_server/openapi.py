"""The OpenAPI 3.1 document, made from the routes, the access table and the wire's records."""

import re
from collections.abc import Iterable
from types import UnionType
from typing import Any, Final, get_args

import msgspec

from runwatch_server.access.table import ANY, Need
from runwatch_server.api.call import Guarded
from runwatch_server.api.queries import PARAMETERS
from runwatch_server.record_schemas import Schemas
from runwatch_shared.errors import STATUS_OF_CODE
from runwatch_shared.wire import Problem

Requirement = dict[str, list[str]]

_VARIABLE: Final = re.compile(r"{([a-z]+)}")
_SECURITY: Final[list[Requirement]] = [{"bearer": []}, {"node_token": []}, {"cookie": []}]
_NODE_SECURITY: Final[list[Requirement]] = [{"bearer": []}, {"node_token": []}]
_ALWAYS: Final = ("method_not_allowed", "token_in_query", "uri_too_long", "headers_too_large")
_WITH_BODY: Final = (
    "invalid_json",
    "body_too_large",
    "unsupported_media_type",
    "request_timeout",
    "store_unavailable",
)
_WITH_CREDENTIAL: Final = ("unauthenticated", "invalid_credential", "forbidden", "rate_limited")
_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128},
    "description": "The same key and body again give the same answer.",
}


def document(guarded: Iterable[Guarded], *, version: str) -> bytes:
    """The document of these routes, as JSON."""
    shown = [each for each in guarded if not each.route.hidden and each.route.method != ANY]
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for each in shown:
        operations = paths.setdefault(each.route.path, {})
        operations[each.route.method.lower()] = _operation(each, schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Runwatch",
                "version": version,
                "description": "Agent runs on many machines: made, executed and watched live.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": schemas.components,
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "An API token, or the access token of a session.",
                    },
                    "node_token": {"type": "apiKey", "in": "header", "name": "X-Node-Token"},
                    "cookie": {"type": "apiKey", "in": "cookie", "name": "access_token"},
                },
            },
        }
    )


def _members(record: Any) -> tuple[Any, ...]:
    """The records of an answer that is one of several; a text is none."""
    if record is None or record is str:
        return ()
    return get_args(record) if isinstance(record, UnionType) else (record,)


def _operation(each: Guarded, schemas: Schemas) -> dict[str, Any]:
    route, need = each.route, each.need
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route.method, route.path),
        "tags": [_tag(route.path)],
        "parameters": _parameters(each),
        "responses": _responses(each, schemas),
        "security": _security(need),
        "x-scopes": sorted(need.scopes),
    }
    if route.body is not None:
        content: dict[str, Any] = {}
        if route.body is not bytes:
            content["application/json"] = {"schema": schemas.of(route.body)}
        for other in route.body_types:
            content.setdefault(other, {"schema": {"type": "string", "format": "binary"}})
        operation["requestBody"] = {
            "required": route.body is bytes or _requires_body(route.body),
            "content": content,
        }
    return operation


def _parameters(each: Guarded) -> list[dict[str, Any]]:
    route = each.route
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    for name in route.parameters:
        schema = PARAMETERS[name]
        parameter = {"name": name, "in": "query", "required": False, "schema": schema}
        if schema["type"] == "array":
            parameter |= {"style": "form", "explode": name == "label"}
        found.append(parameter)
    return [*found, _IDEMPOTENCY_KEY] if route.idempotent else found


def _responses(each: Guarded, schemas: Schemas) -> dict[str, Any]:
    route = each.route
    responses: dict[str, Any] = {}
    for status, record in route.answers.items():
        response: dict[str, Any] = {"description": "Success" if status < 400 else "Failure"}
        if record is str:
            response["content"] = {route.content_type: {"schema": {"type": "string"}}}
        elif record is not None:
            known = [schemas.of(member) for member in _members(record)]
            schema = known[0] if len(known) == 1 else {"oneOf": known}
            response["content"] = {"application/json": {"schema": schema}}
        responses[str(status)] = response
    codes: dict[int, list[str]] = {}
    for code in _codes(each):
        codes.setdefault(STATUS_OF_CODE[code], []).append(code)
    for status, names in sorted(codes.items()):
        if str(status) not in responses:
            responses[str(status)] = {
                "description": ", ".join(names),
                "content": {"application/json": {"schema": schemas.of(Problem)}},
            }
    return responses


def _codes(each: Guarded) -> list[str]:
    codes = [*_ALWAYS, *each.route.errors]
    if each.route.body is not None:
        codes += _WITH_BODY
    if not each.need.public:
        codes += _WITH_CREDENTIAL
    return list(dict.fromkeys(codes))


def _security(need: Need) -> list[Requirement]:
    if need.public:
        return []
    security = list(_SECURITY if need.scopes - {"node", "admin"} else _NODE_SECURITY)
    anonymous = "viewer" in need.scopes and not need.credential
    return [*security, {}] if anonymous else security


def _requires_body(record: Any) -> bool:
    return any(field.required for field in msgspec.structs.fields(record))


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"[a-z0-9]+", path.replace("/api/v1", ""))
    return "_".join([method.lower(), *words])


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1").strip("/").split("/")
    return parts[0] if path.startswith("/api/v1") else "server"
