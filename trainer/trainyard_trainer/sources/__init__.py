"""Where samples come from: files of tables, WebDataset tars and image folders, read in pieces."""

from trainyard_storage.source import SourceFile, SourceListing, list_source

__all__ = ["SourceFile", "SourceListing", "list_source"]
