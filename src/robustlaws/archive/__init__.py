"""Where each file of a study comes from, as a table, an RO-Crate or text, and runs exported to RobustBench."""
