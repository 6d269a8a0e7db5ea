"""Files on disk: atomic writes, the manifest of a run, and folder locks."""
