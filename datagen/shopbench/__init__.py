"""ShopBench's files: the form in which the benchmark asks its questions."""
