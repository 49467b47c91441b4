"""Catalogue, patient-wise splits, prepared store, sources, and the sampling of clips."""

from __future__ import annotations

from usssl.data.catalog import cine_path, read_catalog
from usssl.data.indexing import IndexReport, index_folders
from usssl.data.preparing import PrepareReport, prepare
from usssl.data.source import resolve_source
from usssl.data.store import Fixations, Store, open_store

__all__ = [
    "Fixations",
    "IndexReport",
    "PrepareReport",
    "Store",
    "cine_path",
    "index_folders",
    "open_store",
    "prepare",
    "read_catalog",
    "resolve_source",
]
