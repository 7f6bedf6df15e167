"""Schema: the names and types of a dataset's columns."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["Schema"]


class Schema:
    """Columns of a dataset; `base_schema` is the Arrow schema.

    >>> import pyarrow
    >>> Schema(pyarrow.schema([("id", pyarrow.int64())])).names
    ['id']
    """

    def __init__(self, base_schema: pa.Schema) -> None:
        self.base_schema = base_schema.remove_metadata()

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return list(self.base_schema.names)

    @property
    def types(self) -> list[pa.DataType]:
        """The columns' Arrow types."""
        return list(self.base_schema.types)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and bool(self.base_schema.equals(other.base_schema))

    def __hash__(self) -> int:
        return hash(str(self.base_schema))

    def __repr__(self) -> str:
        width = max([len("Column"), *(len(name) for name in self.names)])
        lines = [f"{'Column':<{width}}  Type", f"{'------':<{width}}  ----"]
        return "\n".join(
            [*lines, *(f"{n:<{width}}  {t}" for n, t in zip(self.names, self.types, strict=False))]
        )
