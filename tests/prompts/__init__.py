"""Tests of templates and of what prompts hold."""
