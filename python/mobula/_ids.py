"""Ids as Python objects: bytes with a kind. Mobula's are shorter than Ray's; their interface is the same."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import int as number_type
    from typing import Any, ClassVar, TypeVar

    Kind = TypeVar("Kind", bound="AnyID")


class AnyID:
    """An id: `hex()`, `binary()`, equality and a hash."""

    SIZE: ClassVar[int] = 8
    __slots__ = ("_bytes",)

    def __init__(self, binary: bytes) -> None:
        if not isinstance(binary, bytes) or len(binary) != self.SIZE:
            raise ValueError(f"{type(self).__name__} has {self.SIZE} bytes, not {binary!r}")
        self._bytes = binary

    @classmethod
    def size(cls) -> int:
        """Bytes of binary()."""
        return cls.SIZE

    @classmethod
    def nil(cls: type[Kind]) -> Kind:
        """The id that names nothing."""
        return cls(bytes(cls.SIZE))

    @classmethod
    def from_hex(cls: type[Kind], hex_id: str) -> Kind:
        """The id whose hex() gives `hex_id`."""
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_binary(cls: type[Kind], id_bytes: bytes) -> Kind:
        """The id whose binary() gives `id_bytes`."""
        return cls(id_bytes)

    @classmethod
    def from_random(cls: type[Kind]) -> Kind:
        """An id that nothing has."""
        import os

        return cls(os.urandom(cls.SIZE))

    @classmethod
    def from_number(cls: type[Kind], number: int) -> Kind:
        """The id of the engine's number."""
        return cls(number.to_bytes(cls.SIZE, "big"))

    def binary(self) -> bytes:
        """The id as bytes."""
        return self._bytes

    def hex(self) -> str:
        """The id as hexadecimal digits."""
        return self._bytes.hex()

    def number(self) -> int:
        """The engine's number of it."""
        return int.from_bytes(self._bytes, "big")

    def is_nil(self) -> bool:
        """True for the id that names nothing."""
        return not any(self._bytes)

    def redis_shard_hash(self) -> int:
        """A hash that is the same in every process."""
        import zlib

        return zlib.crc32(self._bytes)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._bytes,)


class UniqueID(AnyID):
    """An id of no particular kind."""

    __slots__ = ()


class TaskID(AnyID):
    """The id of a task or call."""

    __slots__ = ()


class ActorID(AnyID):
    """The id of an actor."""

    __slots__ = ()


class WorkerID(AnyID):
    """The id of a worker process."""

    __slots__ = ()


class FunctionID(AnyID):
    """The digest of a function's definition."""

    SIZE = 16
    __slots__ = ()


class ActorClassID(FunctionID):
    """The digest of an actor class's definition."""

    __slots__ = ()


class PlacementGroupID(AnyID):
    """The id of a placement group."""

    __slots__ = ()


class JobID(AnyID):
    """The id of a job: what one driver started."""

    SIZE = 4
    __slots__ = ()

    @classmethod
    def from_int(cls, value: number_type) -> JobID:
        """The id of a job's number."""
        return cls.from_number(value)

    def int(self) -> number_type:
        """The job's number."""
        return self.number()


class NodeID(AnyID):
    """The id of a node."""

    SIZE = 28
    __slots__ = ()


class ClusterID(NodeID):
    """The id of a cluster."""

    __slots__ = ()


def make_task_id(number: int) -> TaskID:
    """The TaskID of the engine's number."""
    return TaskID.from_number(number)
