"""Files: written atomically, with provenance inside, in tables of fixed columns."""
