"""Analysis of answers: validity of images, accuracy, agreement and the re-scored benchmark."""
