"""Answering and scoring are tested with a tiny model in the real engine, and with numbers by hand."""
