"""register_serializer and deregister_serializer, by Ray's module name."""

from mobula.util import deregister_serializer, register_serializer

__all__ = ["deregister_serializer", "register_serializer"]
