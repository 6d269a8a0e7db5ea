"""Proofs that need a GPU."""
