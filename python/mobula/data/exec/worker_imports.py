"""Imported in the zygote, so that workers are born with what nearly all fragments need."""

from mobula.data import fragment, wire
from mobula.data.op import columns, stage
from mobula.data.sink import parquet as write_parquet
from mobula.data.source import csv, files, generated, plain, text

__all__ = [
    "columns",
    "csv",
    "files",
    "fragment",
    "generated",
    "plain",
    "stage",
    "text",
    "wire",
    "write_parquet",
]
