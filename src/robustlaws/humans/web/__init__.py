"""The web server of a human study: pages, database, access codes, limits."""
