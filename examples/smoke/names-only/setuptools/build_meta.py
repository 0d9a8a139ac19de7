"""Stands in for the backend of setuptools while `fetch` runs; see ../names_only.py."""

import sys

from names_only import build_wheel, prepare_metadata_for_build_wheel  # noqa: F401

# What pip asks for where a distribution names no backend.
__legacy__ = sys.modules[__name__]
