"""Stands in for meson-python while `fetch` runs; see names_only.py."""

from names_only import build_wheel, prepare_metadata_for_build_wheel  # noqa: F401
