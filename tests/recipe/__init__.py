"""Tests of recipes: those that load, and the messages about those that do not."""
