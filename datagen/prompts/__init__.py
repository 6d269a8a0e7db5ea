"""Prompts: the templates that word them, the chat around them, and what lists and instructions they hold."""
