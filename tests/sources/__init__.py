"""Tests of the seed sources, on files of the sample shop."""
