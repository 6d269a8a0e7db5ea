"""The evaluation: constrained answers from vLLM, scored as ShopBench's grader scores them."""
