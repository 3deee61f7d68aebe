"""Images shown to people, their classes and the order of presentation."""
