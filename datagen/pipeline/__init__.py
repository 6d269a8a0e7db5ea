"""The build of a data set, from a recipe's queries to published shards."""
