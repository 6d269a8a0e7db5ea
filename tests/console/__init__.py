"""Tests of what a terminal is shown."""
