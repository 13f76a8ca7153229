"""JSON schemas of the wire's records, for the OpenAPI document.

msgspec makes schemas itself, but none of a record with an undecoded field (`msgspec.Raw`).
"""

from typing import Any, Final

import msgspec
from msgspec import inspect

Schema = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{}"
_PLAIN: Final[dict[type[inspect.Type], Schema]] = {
    inspect.AnyType: {},
    inspect.RawType: {"type": "object"},
    inspect.BoolType: {"type": "boolean"},
    inspect.IntType: {"type": "integer"},
    inspect.FloatType: {"type": "number"},
    inspect.StrType: {"type": "string"},
    inspect.NoneType: {"type": "null"},
}


class Schemas:
    """Collects the schemas of records and of all they hold, each once by its name."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type: for a record a reference to its component."""
        return self._of(inspect.type_info(kind))

    def _of(self, kind: inspect.Type) -> Schema:
        match kind:
            case inspect.StructType():
                return self._record(kind)
            case inspect.ListType():
                return {"type": "array", "items": self._of(kind.item_type)}
            case inspect.DictType():
                return {"type": "object", "additionalProperties": self._of(kind.value_type)}
            case inspect.LiteralType():
                return {"type": "string", "enum": sorted(kind.values)}
            case inspect.UnionType():
                return self._union(kind)
            case _:
                return dict(_PLAIN[type(kind)])

    def _union(self, kind: inspect.UnionType) -> Schema:
        found = [self._of(member) for member in kind.types if not _is_unset(member)]
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _record(self, kind: inspect.StructType) -> Schema:
        name = kind.cls.__name__
        if name not in self.components:
            self.components[name] = {}  # stands while the record is looked into
            properties: Schema = {}
            required: list[str] = []
            for field in kind.fields:
                properties[field.encode_name] = self._of(field.type)
                if field.required:
                    required.append(field.encode_name)
            schema: Schema = {"type": "object", "title": name, "properties": properties}
            if required:
                schema["required"] = required
            if text := _sentence(kind.cls):
                schema["description"] = text
            self.components[name] = schema
        return {"$ref": _REFERENCE.format(name)}


def _is_unset(kind: inspect.Type) -> bool:
    """Whether a member of a union only says that a field may be absent."""
    return isinstance(kind, inspect.CustomType) and kind.cls is msgspec.UnsetType


def _sentence(record: type[msgspec.Struct]) -> str:
    """The record's docstring, if it has one of its own."""
    text = record.__dict__.get("__doc__") or ""
    return " ".join(text.split())
