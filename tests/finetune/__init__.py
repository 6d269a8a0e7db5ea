"""Tests of training, with a tiny model, its tokenizer, and rows written by hand."""
