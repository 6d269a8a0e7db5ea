"""The small commands, and the text that commands print."""
