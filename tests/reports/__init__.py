"""Tests of what a run says of itself."""
