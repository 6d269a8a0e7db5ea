"""The terminal: how commands end, what they print, and how long work shows its progress."""
