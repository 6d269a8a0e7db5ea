"""Tests of the reader of ShopBench's files."""
