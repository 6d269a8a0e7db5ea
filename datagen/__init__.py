"""The builder of instruction data sets from recipes and public shopping data.

Run `datagen --help`. Nothing here imports torch, trl, peft or vllm.
"""
