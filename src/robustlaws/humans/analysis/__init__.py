"""Answers judged: validity of images, accuracy, agreement and the benchmark without invalid images."""
