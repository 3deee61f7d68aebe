"""Numbers, HTML and terminal text as people read them."""
