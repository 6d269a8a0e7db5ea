"""Shards in, adapters out: supervised fine-tuning with LoRA, merging, and pulling back towards the base model."""
