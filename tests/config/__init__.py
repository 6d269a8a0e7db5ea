"""Tests of YAML documents and their messages."""
