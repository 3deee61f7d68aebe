"""Numbers, HTML and terminal text for readers."""
