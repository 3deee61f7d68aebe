"""The figures of a study: one module each, and what each is drawn from."""

FIGURES = {
    "accuracy": "robustlaws.figures.accuracy:draw",
    "accuracy_from_loss": "robustlaws.figures.accuracy_from_loss:draw",
    "additive_fit": "robustlaws.figures.additive_fit:draw",
    "adversarial": "robustlaws.figures.adversarial:draw",
    "allocation": "robustlaws.figures.allocation:draw",
    "bottleneck_fit": "robustlaws.figures.bottleneck_fit:draw",
    "efficient": "robustlaws.figures.efficient:draw",
    "envelope": "robustlaws.figures.envelope:draw",
    "held_out": "robustlaws.figures.held_out:draw",
    "hyperparameters": "robustlaws.figures.hyperparameters:draw",
    "learning_curves": "robustlaws.figures.learning_curves:draw",
    "overhead": "robustlaws.figures.overhead:draw",
    "predictions": "robustlaws.figures.predictions:draw",
    "replacement": "robustlaws.figures.replacement:draw",
    "residuals": "robustlaws.figures.residuals:draw",
    "samples": "robustlaws.figures.samples:draw",
}

# The files that each figure reads, as the nouns of workflow/rules/figures.smk.
FIGURE_INPUTS = {
    "accuracy": ("runs", "allocations", "laws", "accuracy", "limits"),
    "accuracy_from_loss": ("runs", "accuracy", "accuracy_refits"),
    "additive_fit": ("runs", "laws", "predictions", "refits"),
    "adversarial": ("test_images", "autoattack"),
    "allocation": ("runs", "allocations", "laws", "limits"),
    "bottleneck_fit": ("runs", "laws", "predictions", "refits"),
    "efficient": ("runs", "laws", "allocations"),
    "envelope": ("runs", "curves", "laws", "refits"),
    "held_out": ("held_out", "laws"),
    "hyperparameters": ("runs",),
    "learning_curves": ("curves", "laws", "allocations"),
    "overhead": ("runs", "laws", "refits"),
    "predictions": ("predictions", "laws"),
    "replacement": ("runs", "curves"),
    "residuals": ("predictions", "laws"),
    "samples": ("train_images", "shards", "quality"),
}
