"""Users' own sources and sinks, partitioned paths, and names of files: what programs import from
`ray.data.datasource`.
"""

from mobula.data.accessor import BlockMetadata
from mobula.data.sink.datasink import (
    BlockBasedFileDatasink,
    Datasink,
    RowBasedFileDatasink,
    WriteResult,
)
from mobula.data.sink.folder import FilenameProvider
from mobula.data.sink.sink import SaveMode
from mobula.data.source.datasource import (
    Datasource,
    FileBasedDatasource,
    RandomIntRowDatasource,
    Reader,
    ReadTask,
)
from mobula.data.source.files import FileShuffleConfig
from mobula.data.source.partition import (
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
)

__all__ = [
    "BlockBasedFileDatasink",
    "BlockMetadata",
    "Datasink",
    "Datasource",
    "FileBasedDatasource",
    "FileShuffleConfig",
    "FilenameProvider",
    "PartitionStyle",
    "Partitioning",
    "PathPartitionFilter",
    "PathPartitionParser",
    "RandomIntRowDatasource",
    "ReadTask",
    "Reader",
    "RowBasedFileDatasink",
    "SaveMode",
    "WriteResult",
]
