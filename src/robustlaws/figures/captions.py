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
    "predictions": (
        "Predicted against measured adversarial loss, one point per observation. On the grey diagonal the law is "
        "exact. R² and the typical (median absolute) relative error are those of all points shown; observations "
        "that a law's data rules leave out are not among them."
    ),
    "allocation": (
        "Compute-optimal model size N* and training images D* against training FLOPs, by each law, with its "
        "interval. Dots: the study's own runs. Solid lines lie within the budgets of these runs, dashed ones beyond"
        " them. A law whose exponent the data do not determine is named below instead of drawn."
    ),
    "accuracy": (
        "Adversarial accuracy (PGD on the CW loss) against training FLOPs. Dots: runs, by dataset; stars: accuracy "
        "under AutoAttack where it was run. Curves: the loss that the additive law (Approach 2) expects of each "
        "budget, spent optimally, turned into accuracy by the line fitted to the study's runs; bands are its "
        "interval, dashes lie beyond the study's budgets. Dotted: the limit at infinite compute. Both are drawn "
        "only where the data determine them."
    ),
    "adversarial": (
        "Adversarial images that fooled the most robust attacked network. Left to right: the test image, the "
        "attacked image, and their difference (grey = unchanged) amplified so that the attack's full radius is "
        "black or white. Above each: true class → class given to the attacked image, and the attack of the "
        "AutoAttack sequence that broke it. One image per true class in turn, in the order of the test split, not "
        "chosen. The remarks count what each attack broke; a later attack only sees what the earlier ones left."
    ),
}
