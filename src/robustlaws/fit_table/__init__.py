"""Laws for people who bring a table of finished runs: read it, check its units, fit, draw, report. Imports no torch."""
