"""Answers from a model: the engine, and the constraints under which it decodes."""
