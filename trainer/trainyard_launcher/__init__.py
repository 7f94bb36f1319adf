"""The launcher: the first process of a local run and of every trainer pod. It imports no torch."""
