"""Imported in the zygote, so that workers are born with what nearly all fragments need."""

from mobula.data import fragment, wire
from mobula.data.op import columns, stage
from mobula.data.sink import parquet as write_parquet
from mobula.data.source import files, generated, plain

__all__ = ["columns", "files", "fragment", "generated", "plain", "stage", "wire", "write_parquet"]
