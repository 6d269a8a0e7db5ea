"""Tests of templates and of the lists in prompts."""
