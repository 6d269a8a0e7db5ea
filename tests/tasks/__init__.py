"""Tests of the contract with the grader, by properties and on the benchmark's own questions."""
