"""What the commands beside the build do and print."""
