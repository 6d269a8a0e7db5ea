"""The task type of a question that does not say it."""
