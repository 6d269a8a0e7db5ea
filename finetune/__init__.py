"""The trainer: LoRA adapters from shards, sums of them, merged models, and models between base and tuned."""
