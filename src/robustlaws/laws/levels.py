"""What the human level is called."""


def called(source):
    """Return what the level of `source` (as in `records.APPROACHES`) is called: a simulation's is no human's."""
    return "level of the simulated participants" if source == "simulated" else "human level"
