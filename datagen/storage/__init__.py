"""Files on disk: whole or not there, with a manifest, and one process a folder."""
