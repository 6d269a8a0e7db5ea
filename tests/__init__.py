"""What the project promises, tested: a file here mirrors one of the packages, or walks a directory."""
