"""Scores of answers: ShopBench's metrics, trivial baselines, and runs side by side."""
