"""Models and data sets of the Hugging Face hub, and the folders that hold them."""
