"""Serves a published model over the Open Inference Protocol v2, and runs it for others. No torch."""
