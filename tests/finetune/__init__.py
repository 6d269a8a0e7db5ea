"""Training is tested with a tiny model, its tokenizer, and rows written by hand."""
