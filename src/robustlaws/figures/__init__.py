"""The figures of a study: one module each, and what each is drawn from."""

FIGURES = {
    "accuracy": "robustlaws.figures.accuracy:draw",
    "accuracy_from_loss": "robustlaws.figures.accuracy_from_loss:draw",
    "adversarial": "robustlaws.figures.adversarial:draw",
    "allocation": "robustlaws.figures.allocation:draw",
    "envelope": "robustlaws.figures.envelope:draw",
    "held_out": "robustlaws.figures.held_out:draw",
    "hyperparameters": "robustlaws.figures.hyperparameters:draw",
    "learning_curves": "robustlaws.figures.learning_curves:draw",
    "predictions": "robustlaws.figures.predictions:draw",
    "replacement": "robustlaws.figures.replacement:draw",
    "residuals": "robustlaws.figures.residuals:draw",
    "samples": "robustlaws.figures.samples:draw",
}

# The files that each figure reads, as the nouns of workflow/rules/figures.smk.
FIGURE_INPUTS = {
    "accuracy": ("runs", "allocations", "laws", "accuracy", "limits"),
    "accuracy_from_loss": ("runs", "accuracy", "accuracy_refits"),
    "adversarial": ("test_images", "autoattack"),
    "allocation": ("runs", "allocations", "laws", "limits"),
    "envelope": ("runs", "curves", "laws", "refits"),
    "held_out": ("held_out", "laws"),
    "hyperparameters": ("runs",),
    "learning_curves": ("curves", "laws", "allocations"),
    "predictions": ("predictions", "laws"),
    "replacement": ("runs", "curves"),
    "residuals": ("predictions", "laws"),
    "samples": ("train_images", "shards", "quality"),
}
