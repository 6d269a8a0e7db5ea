"""Seeds in, deduplicated instruction shards out: recipes over public shopping data.

Run `datagen --help`. Nothing here imports torch, trl, peft or vllm.
"""
