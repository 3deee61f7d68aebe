"""Answers of people, files and simulated participants, collected in one table."""
