"""What the figures share: style, labels, inputs, panels and the data behind a plot."""
