"""Tests of the project's promises: a file here mirrors a module or walks a directory."""
