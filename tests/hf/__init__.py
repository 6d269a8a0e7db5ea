"""Tests of model folders and the hub."""
