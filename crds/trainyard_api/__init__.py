"""The types of Trainyard's API: what a manifest may say, and the documents that its parts hand to each other.

This package imports no other package of ours, and nothing heavy.
"""

GROUP = "trainyard.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
