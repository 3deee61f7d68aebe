"""Laws for a table of finished runs: read, check units, fit, draw, report. Imports no torch."""
