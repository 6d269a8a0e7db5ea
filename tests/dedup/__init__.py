"""Tests of finding duplicate questions."""
