"""Measurements of the application, side by side (``reidtrack bench``)."""
