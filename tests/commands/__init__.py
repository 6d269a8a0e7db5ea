"""Tests of what the commands beside the build do and print."""
