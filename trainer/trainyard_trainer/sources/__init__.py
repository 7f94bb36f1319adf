"""Where samples come from: files of tables, WebDataset tars and image folders, read in pieces."""

from trainyard_storage.source import SourceFile, SourceListing, list_source
from trainyard_trainer.sources.bad import BadSamples
from trainyard_trainer.sources.open import Source, open_raw, open_source

__all__ = ["BadSamples", "Source", "SourceFile", "SourceListing", "list_source", "open_raw", "open_source"]
