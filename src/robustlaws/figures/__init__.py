"""The figures of a study: one module each, and what each is drawn from."""

FIGURES = {
    "samples": "robustlaws.figures.samples:draw",
    "learning_curves": "robustlaws.figures.learning_curves:draw",
    "predictions": "robustlaws.figures.predictions:draw",
    "allocation": "robustlaws.figures.allocation:draw",
    "accuracy": "robustlaws.figures.accuracy:draw",
    "adversarial": "robustlaws.figures.adversarial:draw",
    "held_out": "robustlaws.figures.held_out:draw",
    "hyperparameters": "robustlaws.figures.hyperparameters:draw",
    "replacement": "robustlaws.figures.replacement:draw",
    "residuals": "robustlaws.figures.residuals:draw",
}

# The files that each figure reads, as the nouns of workflow/rules/figures.smk.
FIGURE_INPUTS = {
    "samples": ("train_images", "shards", "quality"),
    "learning_curves": ("curves", "laws", "allocations"),
    "predictions": ("predictions", "laws"),
    "allocation": ("runs", "allocations", "laws"),
    "accuracy": ("runs", "allocations", "laws", "accuracy"),
    "adversarial": ("test_images", "autoattack"),
    "held_out": ("held_out", "laws"),
    "hyperparameters": ("runs",),
    "replacement": ("runs", "curves"),
    "residuals": ("predictions", "laws"),
}
