"""BigQuery columns as values, and the Arrow types that carry them.

The Arrow types are those of the Storage Read API ("Arrow schema details" in BigQuery's
documentation of ReadSession), so a batch that was read and a batch that was built here
have the same schema.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import pyarrow as pa

Mode = Literal["NULLABLE", "REQUIRED", "REPEATED"]

# BigQuery answers with the legacy names, the SQL names are accepted as well.
_CANONICAL_TYPES = {
    "INT64": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}

_ARROW_TYPES: dict[str, pa.DataType] = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "TIME": pa.time64("us"),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "JSON": pa.string(),
    "GEOGRAPHY": pa.string(),
}


@dataclass(frozen=True)
class Field:
    """One column of a BigQuery table.

    `type` is BigQuery's REST name (INTEGER, FLOAT, BOOLEAN, RECORD, STRING, …).
    """

    name: str
    type: str
    mode: Mode = "NULLABLE"
    fields: tuple["Field", ...] = ()

    @classmethod
    def from_api(cls, resource: Mapping[str, Any]) -> Self:
        """Builds a field from a TableFieldSchema resource of the REST API."""
        kind = str(resource["type"]).upper()
        return cls(
            name=str(resource["name"]),
            type=_CANONICAL_TYPES.get(kind, kind),
            mode=cast(Mode, str(resource.get("mode") or "NULLABLE").upper()),
            fields=tuple(cls.from_api(f) for f in resource.get("fields") or ()),
        )

    def to_api(self) -> dict[str, Any]:
        """The TableFieldSchema resource of the REST API."""
        resource: dict[str, Any] = {"name": self.name, "type": self.type, "mode": self.mode}
        if self.fields:
            resource["fields"] = [f.to_api() for f in self.fields]
        return resource

    @property
    def rank(self) -> int:
        """How many ARRAYs a value lies in: 0 for a scalar, 1 for an element of an ARRAY."""
        return 1 if self.mode == "REPEATED" else 0

    @property
    def top(self) -> "Field":
        """The column of the table that holds the values: this one."""
        return self

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """The values in a batch of the table's columns, in lists as deep as `rank`."""
        return batch[self.name]

    @property
    def sql_type(self) -> str:
        """The type as GoogleSQL writes it, `ARRAY<FLOAT64>` say."""
        name = _SQL_NAMES.get(self.type, self.type)
        if self.fields:
            name += "<" + ", ".join(f"{f.name} {f.sql_type}" for f in self.fields) + ">"
        return "ARRAY<" * self.rank + name + ">" * self.rank

    @property
    def element_type(self) -> pa.DataType:
        """The Arrow type of one value, without the ARRAYs that it lies in.

        Raises:
          KeyError: the type has none (INTERVAL and RANGE; `unportable_type` says so first).
        """
        if self.fields:
            return pa.struct([f.arrow_field for f in self.fields])
        return _ARROW_TYPES[self.type]

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type that carries the column.

        Raises:
          KeyError: as for `element_type`.
        """
        kind = self.element_type
        for _ in range(self.rank):
            kind = pa.list_(kind)
        return kind

    @property
    def arrow_field(self) -> pa.Field:
        """The Arrow field; a REQUIRED column is not nullable."""
        return pa.field(self.name, self.arrow_type, nullable=self.mode != "REQUIRED")


# INTERVAL and RANGE have no Parquet type, and the Storage Read API no text for them that a query
# could parse ("Loading Parquet data", "Type conversions").
_NOT_PORTABLE = frozenset({"INTERVAL", "RANGE", "FOREIGN"})


def unportable_type(field: Field) -> str | None:
    """The first type within `field` that cannot be carried into the output unchanged."""
    if field.type in _NOT_PORTABLE or (not field.fields and field.type not in _ARROW_TYPES):
        return field.type
    return next((t for f in field.fields if (t := unportable_type(f))), None)


def arrow_schema(fields: Iterable[Field]) -> pa.Schema:
    """The Arrow schema of a table with these columns."""
    return pa.schema([f.arrow_field for f in fields])
