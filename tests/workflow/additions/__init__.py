"""Modules that somebody adds, one of each kind; `test_additions.py` puts each where its kind lives."""
