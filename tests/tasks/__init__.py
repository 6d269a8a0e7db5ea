"""The contract with the grader is tested by properties, and on the benchmark's own questions."""
