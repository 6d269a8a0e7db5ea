"""Tests of the small commands and of the text that commands print."""
