"""A recogniser as a small page and JSON API on the local machine."""
