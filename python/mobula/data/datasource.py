"""Partitioned paths, under the names that programs import from `ray.data.datasource`."""

from mobula.data.sink.sink import SaveMode
from mobula.data.source.files import FileShuffleConfig
from mobula.data.source.partition import Partitioning, PathPartitionFilter

__all__ = ["FileShuffleConfig", "Partitioning", "PathPartitionFilter", "SaveMode"]
