"""Tests of deduplication by content."""
