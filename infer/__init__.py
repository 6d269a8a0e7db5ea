"""Questions in, answers and scores out: constrained generation with vLLM, graded as ShopBench grades."""
