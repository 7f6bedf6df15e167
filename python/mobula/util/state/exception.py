"""What the state API raises."""

from __future__ import annotations


class RayStateApiException(Exception):
    """A question that cannot be answered: an unknown column, a limit that is too high, rows that are gone."""


class ServerUnavailable(RayStateApiException):
    """Nobody answers."""


class DataSourceUnavailable(Exception):
    """A part of the cluster does not answer."""
