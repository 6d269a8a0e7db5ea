"""Tests of answering and scoring, with a tiny model in the real engine, and numbers worked out by hand."""
