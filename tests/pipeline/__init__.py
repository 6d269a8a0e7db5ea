"""Tests of the stages of a build, and of the whole of it."""
