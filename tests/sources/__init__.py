"""Sources are tested on what the sample marketplace writes."""
