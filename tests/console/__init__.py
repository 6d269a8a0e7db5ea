"""Tests of text, progress and errors on the terminal."""
