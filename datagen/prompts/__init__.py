"""Prompts: their templates, the chat around them, and the lists and instructions inside them."""
