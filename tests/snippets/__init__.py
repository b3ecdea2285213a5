"""Tests of the files in docs/snippets that need NumPy alone."""
