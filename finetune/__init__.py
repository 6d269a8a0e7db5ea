"""The trainer: LoRA adapters from shards, merged models, models between base and tuned, and sums of several."""
