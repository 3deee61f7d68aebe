"""What stands under each figure in the report: what is drawn, for a reader who knows the field.

Apart from the figures, so that a better word redraws none of them. The first sentence is also what a screen
reader says of the picture.
"""

CAPTIONS = {
    "samples": (
        "Images of each dataset. The first images of each class, in the order in which they were sampled, not "
        "chosen; best FID first, after the real training images. Sampler steps and FID stand above each block."
    ),
    "learning_curves": (
        "Adversarial loss against training FLOPs, one curve per run. Colour and line style tell the model, from "
        "small (light) to large (dark); a dot ends each run, so the dots of one model are its dataset sizes. Black:"
        " the lowest loss that any run of the dataset reaches within a budget. Red: the power law that Approach 1 "
        "fits to the envelope, with its interval."
    ),
    "envelope": (
        "Approach 1, one row per dataset (at most four, spread over the FIDs). Left: learning curves, the points of "
        "their lower envelope (black) and the power law fitted to them (red, with its interval). Middle and right: "
        "model size N* and training images D* of the run that is best at each point, and their power laws; N* lies "
        "on steps because only trained models can win. A study without learning curves has one line per model "
        "through its finished runs instead. What the data do not determine is named above its panel, not drawn."
    ),
    "predictions": (
        "Predicted against measured adversarial loss, one point per observation. On the grey diagonal the law is "
        "exact. R² and the typical (median absolute) relative error are those of all points shown; observations "
        "that a law's data rules leave out are not among them."
    ),
    "residuals": (
        "Relative error of each law's predicted loss, one point per observation. A law whose form is right leaves "
        "no pattern around the line at 0."
    ),
    "held_out": (
        "Losses of each dataset's runs as predicted by fits that never saw the dataset, against those measured. "
        "On the grey diagonal the prediction is exact."
    ),
    "additive_fit": (
        "Approach 2: lines of equal loss over budget and model size, and over budget and training images, with the "
        "best choice for each budget. Dots: the study's own runs."
    ),
    "bottleneck_fit": (
        "Approach 3, one panel per model: adversarial loss against training FLOPs. Dots: runs, by dataset; lines: "
        "the losses that the fitted law gives, with the same parameters in every panel."
    ),
    "allocation": (
        "Compute-optimal model size N* and training images D* against training FLOPs, approach beside approach, each "
        "with its interval. Data quality improves from left to right, from the worst FID to the best (at most four "
        "datasets) and on to FID 0, which no dataset has. Circles: the study's own runs. Solid lines lie within the "
        "budgets of these runs, dashed ones beyond them. A law whose exponent the data do not determine is named "
        "below instead of drawn."
    ),
    "efficient": (
        "Model sizes that are efficient for a budget by the laws' own account, and the runs among them. Within the "
        "shaded region no law gives a choice that costs less for the same loss."
    ),
    "overhead": (
        "Training compute that a model of other than the best size takes for the same loss, as a share of the least "
        "possible. Smaller models cost more to train, and less to use."
    ),
    "accuracy": (
        "Adversarial accuracy (PGD on the CW loss) against training FLOPs. Dots: runs, by dataset, hollow where the "
        "accuracy is computed from the loss; stars: accuracy under AutoAttack where it was run. Curves: the loss "
        "that a law (Approach 2 where it can) expects of each budget, spent optimally, turned into accuracy by a "
        "line; each band is the interval of that loss, dashes lie beyond the study's budgets. The wide shaded area "
        "holds better data: from the best dataset's FID to FID 0. Dotted, at the right: the limit at infinite "
        "compute. Red: the accuracy that counts as human level, where the study has one. Curves and limits are "
        "drawn only where the data determine them."
    ),
    "accuracy_from_loss": (
        "Adversarial accuracy against adversarial loss, one point per run, and the least-squares line that turns "
        "one into the other, with its interval. Accuracies elsewhere that were not measured come from this line, "
        "held between 0 and 1."
    ),
    "hyperparameters": (
        "Adversarial accuracy for several batch sizes and learning rates, on datasets of several sizes. Only runs "
        "that differ in nothing else are compared."
    ),
    "replacement": (
        "Learning curves of runs that draw their images without and with replacement, otherwise alike. Where they "
        "lie on each other, repeated images do no harm."
    ),
    "adversarial": (
        "Adversarial images that fooled the most robust attacked network. Left to right: the test image, the "
        "attacked image, and their difference (grey = unchanged) amplified so that the attack's full radius is "
        "black or white. Above each: true class → class given to the attacked image, and the attack of the "
        "AutoAttack sequence that broke it. One image per true class in turn, in the order of the test split, not "
        "chosen. The remarks count what each attack broke; a later attack only sees what the earlier ones left."
    ),
}
