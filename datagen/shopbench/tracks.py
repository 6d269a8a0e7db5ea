"""The names of the competition's tracks, as commands take them, for whom their limits import too much."""

NAMES = ("concepts", "reasoning", "behavior", "languages", "all")
