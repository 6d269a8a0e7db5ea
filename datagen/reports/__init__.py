"""What a run says of itself: the dataset card and the report page."""
