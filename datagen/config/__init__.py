"""YAML files that people write, and the messages about their mistakes."""
