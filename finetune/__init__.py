"""The trainer: LoRA adapters from shards, merged models, and models between base and tuned."""
