"""What the figures share: style, labels, inputs, panels, captions and the data behind a plot."""
