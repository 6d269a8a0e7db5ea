"""Tests of the dataset card and the report page."""
