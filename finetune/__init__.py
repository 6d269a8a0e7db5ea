"""Shards in, adapters out: fine-tuning with LoRA, merging, and pulling back towards the base model."""
