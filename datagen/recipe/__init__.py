"""Recipes: what their keys mean, how they are loaded, and every check that costs nothing."""
