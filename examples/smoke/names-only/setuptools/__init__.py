"""Stands in for setuptools while `fetch` runs; see ../names_only.py."""
