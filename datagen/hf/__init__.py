"""The Hugging Face hub, and model folders in its layout."""
