"""Frozen dataclasses as JSON text and back, by the types of their fields."""

import dataclasses
import json
import types
from datetime import datetime
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_text(value: Any) -> str:
    """A dataclass of plain values, tuples, times and such dataclasses, as JSON."""
    return json.dumps(dataclasses.asdict(value), default=datetime.isoformat)


def from_text(kind: type[T], text: str) -> T:
    """What `to_text` made of an instance of `kind`; fields that are missing take their default.

    Raises:
      ValueError: it is not the text of one.
    """
    try:
        value: T = _restored(kind, json.loads(text))
    except (AttributeError, KeyError, TypeError) as e:
        raise ValueError(f"not the text of a {kind.__name__}: {e}") from e
    return value


def _restored(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (k for k in get_args(kind) if k is not type(None))
        return None if value is None else _restored(inner, value)
    if origin is Literal:
        return value
    if origin is tuple:
        items = get_args(kind)
        if items[-1] is Ellipsis:
            return tuple(_restored(items[0], v) for v in value)
        return tuple(_restored(k, v) for k, v in zip(items, value, strict=True))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        names = [f.name for f in dataclasses.fields(kind) if f.name in value]
        make: Any = kind
        return make(**{name: _restored(hints[name], value[name]) for name in names})
    if kind is datetime:
        return datetime.fromisoformat(value)
    if not isinstance(value, kind):
        raise TypeError(f"got {value!r}, expected {kind.__name__}")
    return value
