"""The classifier of a question's task type, by rules on its text."""
