"""The figures of a study: one module each, with its inputs and caption."""

from dataclasses import dataclass

from robustlaws.registry import Entry

# Headings of the report that figures stand under, in its order; a figure with another heading stands after these.
HEADINGS = ("Data and training", "Laws", "Accuracy and its limits", "Planning", "Attacks", "Human study")
# Inputs of a figure without a study: tables of finished runs, and the laws fitted to them.
OF_RUNS = (
    "runs",
    "curves",
    "laws",
    "allocations",
    "predictions",
    "held_out",
    "refits",
    "accuracy",
    "accuracy_refits",
    "limits",
)


@dataclass(frozen=True)
class Figure(Entry):
    """A figure of the report.

    Attributes
    ----------
    heading : str
        Of the report, under which the figure stands.
    inputs : tuple of str
        The files that the figure reads, as the nouns of workflow/rules/figures.smk.
    caption : str
        Text under the figure. Its first sentence is also the text that a screen reader reads.
    """

    heading: str
    inputs: tuple[str, ...]
    caption: str


# In the order of the paper; `robustlaws fit` shows them in this order.
FIGURES = {
    "accuracy": Figure(
        "robustlaws.figures.accuracy:draw",
        heading="Accuracy and its limits",
        inputs=("runs", "allocations", "laws", "accuracy", "limits"),
        caption=(
            "Adversarial accuracy (PGD on the CW loss) against training FLOPs. Dots: runs, by dataset, hollow where "
            "the accuracy is computed from the loss; stars: accuracy under AutoAttack where it was run. Curves: the "
            "loss that a law (Approach 2 where it can) expects of each budget, spent optimally, turned into accuracy "
            "by a line; each band is the interval of that loss, dashes lie beyond the study's budgets. The wide "
            "shaded area holds better data: from the best dataset's FID to FID 0. Dotted, at the right: the limit at "
            "infinite compute. Red: the accuracy that counts as human level, where the study has one (dash-dotted: "
            "that of simulated participants, which is no person's). Curves and limits are drawn only where the data "
            "determine them."
        ),
    ),
    "envelope": Figure(
        "robustlaws.figures.envelope:draw",
        heading="Laws",
        inputs=("runs", "curves", "laws", "refits"),
        caption=(
            "Approach 1, one row per dataset (at most four, spread over the FIDs). Left: learning curves, the points "
            "of their lower envelope (black) and the power law fitted to them (red, with its interval). Middle and "
            "right: model size N* and training images D* of the run that is best at each point, and their power laws; "
            "N* lies on steps because only trained models can win. A study without learning curves has one line per "
            "model through its finished runs instead. What the data do not determine is named above its panel, not "
            "drawn."
        ),
    ),
    "learning_curves": Figure(
        "robustlaws.figures.learning_curves:draw",
        heading="Data and training",
        inputs=("curves", "laws", "allocations"),
        caption=(
            "Adversarial loss against training FLOPs, one curve per run. Colour and line style tell the model, from "
            "small (light) to large (dark); a dot ends each run, so the dots of one model are its dataset sizes. "
            "Black: the lowest loss that any run of the dataset reaches within a budget. Red: the power law that "
            "Approach 1 fits to the envelope, with its interval."
        ),
    ),
    "additive_fit": Figure(
        "robustlaws.figures.additive_fit:draw",
        heading="Laws",
        inputs=("runs", "laws", "predictions", "refits"),
        caption=(
            "Approach 2 against the runs that it describes. Top: adversarial loss against training FLOPs, one panel "
            "per dataset, one line of the law per model; hollow runs were not seen by the fit. Bottom: equal loss on "
            "the dataset of the best FID over FLOPs and model size (left) or images (right), runs filled with their "
            "measured loss, and the compute-optimal N* and D* with their interval, where the data determine them."
        ),
    ),
    "bottleneck_fit": Figure(
        "robustlaws.figures.bottleneck_fit:draw",
        heading="Laws",
        inputs=("runs", "laws", "predictions", "refits"),
        caption=(
            "Approach 3 against the runs that it describes. Adversarial loss against training images, one panel per "
            "model, one line of the law per dataset. Hollow runs were left out of the fit."
        ),
    ),
    "predictions": Figure(
        "robustlaws.figures.predictions:draw",
        heading="Laws",
        inputs=("predictions", "laws"),
        caption=(
            "Predicted against measured adversarial loss, one point per observation. On the grey diagonal the law is "
            "exact. R² and the typical (median absolute) relative error are those of all points shown; observations "
            "that a law's data rules leave out are not among them."
        ),
    ),
    "held_out": Figure(
        "robustlaws.figures.held_out:draw",
        heading="Laws",
        inputs=("held_out", "laws"),
        caption=(
            "Losses of each dataset's runs as predicted by fits that never saw the dataset, against those measured. "
            "On the grey diagonal the prediction is exact; the legend gives R² unseen and, in brackets, that of the "
            "fit to all."
        ),
    ),
    "residuals": Figure(
        "robustlaws.figures.residuals:draw",
        heading="Laws",
        inputs=("predictions", "laws"),
        caption=(
            "How far each law's loss lies from the measured one, against model size, images, FID and FLOPs, one point "
            "per observation: the natural logarithm of their ratio, in percent. A law whose form is right leaves the "
            "running median at 0; the largest residual is circled and named."
        ),
    ),
    "allocation": Figure(
        "robustlaws.figures.allocation:draw",
        heading="Laws",
        inputs=("runs", "allocations", "laws", "limits"),
        caption=(
            "Compute-optimal model size N* and training images D* against training FLOPs, approach beside approach, "
            "each with its interval. Data quality improves from left to right, from the worst FID to the best (at "
            "most four datasets) and on to FID 0, which no dataset has. Circles: the study's own runs. Solid lines "
            "lie within the budgets of these runs, dashed ones beyond them. A law whose exponent the data do not "
            "determine is named below instead of drawn."
        ),
    ),
    "efficient": Figure(
        "robustlaws.figures.efficient:draw",
        heading="Planning",
        inputs=("runs", "laws", "allocations"),
        caption=(
            "Compute-optimal model size N* against training FLOPs by each law, on the dataset of the best FID. "
            "Between the lowest and the highest lies the compute-efficient region. All runs are shown, those that no "
            "law is fitted to by kind; accuracies are written beside runs where there is room."
        ),
    ),
    "overhead": Figure(
        "robustlaws.figures.overhead:draw",
        heading="Planning",
        inputs=("runs", "laws", "refits"),
        caption=(
            "Extra training compute with which a model of another size than N* reaches the same loss, at the budget "
            "of the dearest run. The study's models stand above, with the best accuracy of their runs near that "
            "budget; where the data determine no N*, the losses of these runs are shown instead."
        ),
    ),
    "accuracy_from_loss": Figure(
        "robustlaws.figures.accuracy_from_loss:draw",
        heading="Accuracy and its limits",
        inputs=("runs", "accuracy", "accuracy_refits"),
        caption=(
            "Adversarial accuracy against adversarial loss, one point per run, and the least-squares line that turns "
            "one into the other, with its interval. Hollow: runs that mix real images in, which the line leaves out. "
            "Accuracies elsewhere that were not measured come from this line, held between 0 and 1."
        ),
    ),
    "hyperparameters": Figure(
        "robustlaws.figures.hyperparameters:draw",
        heading="Data and training",
        inputs=("runs",),
        caption=(
            "Accuracy under PGD of runs that differ only in their recipe, one panel for each model, dataset and size. "
            "Bars are the exact 95% interval of the test images, the grey line is the study's own recipe, and the "
            "adversarial loss stands beside. Above: the best recipe with its lead in percentage points over the next "
            "one and over the study's own; it is only 'ahead' where the luck of the test images could explain its "
            "lead."
        ),
    ),
    "replacement": Figure(
        "robustlaws.figures.replacement:draw",
        heading="Data and training",
        inputs=("runs", "curves"),
        caption=(
            "Learning curves of the study's own recipe beside those of other recipes with the same model, dataset, "
            "size and seed. It is the paper's comparison where the other recipe draws its images with replacement. "
            "The number in each panel is the difference at the end of training, on all test images; the curves may be "
            "measured on fewer, which a remark then says."
        ),
    ),
    "adversarial": Figure(
        "robustlaws.figures.adversarial:draw",
        heading="Attacks",
        inputs=("test_images", "autoattack"),
        caption=(
            "Adversarial images that fooled the most robust attacked network. Left to right: the test image, the "
            "attacked image, and their difference (grey = unchanged) amplified so that the attack's full radius is "
            "black or white. Above each: true class → class given to the attacked image, and the attack of the "
            "AutoAttack sequence that broke it. One image per true class in turn, in the order of the test split, not "
            "chosen. The remarks count what each attack broke; a later attack only sees what the earlier ones left."
        ),
    ),
    "human_accuracy": Figure(
        "robustlaws.figures.human_accuracy:draw",
        heading="Human study",
        inputs=("human_accuracy",),
        caption=(
            "Accuracy of each participant on the images that fooled the network, in their attacked version against "
            "the clean one: of all answers, and of those given with low and high confidence. Bars are intervals; on "
            "the dashed line the attack costs nothing. Black: the mean of all of a kind. Models that took part are "
            "called so, and so are simulated participants, who are a program and no people."
        ),
    ),
    "invalid_images": Figure(
        "robustlaws.figures.invalid_images:draw",
        heading="Human study",
        inputs=("stimuli", "key", "validity", "test_images"),
        caption=(
            "Images that fooled the network, attacked beside clean, with the true class, the network's and, where "
            "people answered, that of most of them. Deceptive: the network and most people agree on one wrong class. "
            "Ambiguous: the other images whose true class too few saw. Valid images stand below for comparison. One "
            "image per true class in turn, in the order of the split, not chosen. Simulated participants stand for "
            "people only where they are called so."
        ),
    ),
    "samples": Figure(
        "robustlaws.figures.samples:draw",
        heading="Data and training",
        inputs=("train_images", "shards", "quality"),
        caption=(
            "Images of each dataset. The first images of each class, in the order in which they were sampled, not "
            "chosen; best FID first, after the real training images. Sampler steps and FID stand above each block."
        ),
    ),
    "training_attack": Figure(
        "robustlaws.figures.training_attack:draw",
        heading="Human study",
        inputs=("train_images", "test_images", "inner_train", "inner_test", "autoattack_record"),
        caption=(
            "What the network was trained against. Test images clean, under the attack of the training and under "
            "AutoAttack; training images clean and under the attack of the training. Below each version stands the "
            "class that the network gives it. Images that the last attack broke come first, one per true class in "
            "turn, not chosen."
        ),
    ),
}

FIGURE_INPUTS = {name: figure.inputs for name, figure in FIGURES.items()}
# Those that a table of finished runs has the files of.
FIGURES_OF_RUNS = {name: figure for name, figure in FIGURES.items() if set(figure.inputs) <= set(OF_RUNS)}
