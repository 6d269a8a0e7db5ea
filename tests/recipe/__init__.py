"""Tests of recipes: what loads, and what is told of what does not."""
