"""Figure: images that fooled the network and the participants too, beside their clean versions."""

from robustlaws.data import encoded_images, shards
from robustlaws.figures.drawing import mosaics, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import human_tables, tables

# Meaning of each verdict, and the number of examples shown.
_VERDICTS = {
    "deceptive": ("deceptive: most {people} agree with the network on a wrong class", 8),
    "ambiguous": ("ambiguous: not seen right, nor by most {people} as the network sees it", 8),
    "valid": ("for comparison, valid: the true class is still seen", 4),
}
_OF_MODELS = "ambiguous: not seen right"  # what most people see is nothing that models alone can tell
_ACROSS = 4
_ROW, _HEAD = 1.62, 0.32  # inches of a row of examples, and of a heading


def draw(*, paths, stimuli, key, validity, test_images):
    """Draw deceptive, ambiguous and valid images, each attacked version beside its clean one.

    Parameters
    ----------
    stimuli, key, validity : path
        Tables human_tables.STIMULI, STIMULUS_KEY and VALIDITY.
    test_images : path
        Shard of the split: the names of the classes.

    Raises
    ------
    ValueError
        If a file cannot be read, or an image that was judged is not among the stimuli.
    """
    table = tables.read(validity, human_tables.VALIDITY)
    versions = _versions(stimuli, key)
    names = shards.attributes(test_images).get("class_names")
    words = _Words(names, table, validity)
    parts = {verdict: rows for verdict in _VERDICTS if len(rows := _examples(table, verdict))}
    heights = [_HEAD + _ROW * -(-len(rows) // _ACROSS) for rows in parts.values()]
    with style.drawing(paths, max(0.5 + sum(heights), 2.0)) as figure:
        figure.suptitle("Images that fooled the network" + (f", as {words.who} judged them" if words.who else ""))
        if not parts:
            style.nothing(figure.subplots(), "no image has been judged yet" if len(table) else "no image was shown")
        else:
            blocks = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
            for block, (verdict, rows) in zip(blocks, parts.items(), strict=True):
                _block(block, verdict, rows, versions, words)
        style.below(figure, lines=_remarks(table, words.who))


class _Words:
    """Names of classes and participants."""

    def __init__(self, names, table, path):
        self.names, self.path = names, path
        self.simulated = bool(table["simulated"].any())
        self.people = "simulated participants" if self.simulated else "people"
        self.who = numbers.judges(
            bool((table["people"] > 0).any()),
            bool((table["participants"] > table["people"]).any()),
            self.simulated,
        )

    def of(self, label):
        return style.short(self.names[label] if self.names and label < len(self.names) else label, 11)

    def heading(self, row):
        """Return the true class, the network's and, if any were shown the image, the people's, one a line."""
        lines = [f"true: {self.of(row['label'])}", f"network: {self.of(row['prediction'])}"]
        if row["people"]:
            many = "no majority" if row["majority"] is None else self.of(row["majority"])
            lines.append(f"{'simulated' if self.simulated else 'people'}: {many}")
        return "\n".join(lines)


def _versions(stimuli, key):
    """Return (split, index, variant) -> the image as float RGB (height, width, 3)."""
    shown = tables.read(stimuli, human_tables.STIMULI).set_index("id")["png"]
    key = tables.read(key, human_tables.STIMULUS_KEY)
    key = key[~key["is_attn_check"] & key["id"].isin(shown.index)]
    return {
        (row.split, row.index_in_split, row.variant): shown[row.id]
        for row in key.rename(columns={"index": "index_in_split"}).itertuples(index=False)
    }


def _examples(table, verdict):
    """Return the rows (dicts) of the images shown for a verdict: one of each true class in turn, not chosen."""
    rows = table[table["verdict"] == verdict].sort_values("index", kind="stable")
    rows = rows.assign(turn=rows.groupby("label").cumcount()).sort_values(["turn", "index"], kind="stable")
    rows = rows.head(_VERDICTS[verdict][1])
    return rows.astype({"majority": object}).where(rows.notna(), None).to_dict("records")


def _block(block, verdict, rows, versions, words):
    """Draw the examples of one verdict."""
    heading = _VERDICTS[verdict][0].format(people=words.people)
    if words.who == "models" and verdict == "ambiguous":
        heading = _OF_MODELS
    block.suptitle(heading, x=0.01, ha="left", fontsize=10)
    grid = block.subplots(-(-len(rows) // _ACROSS), _ACROSS, squeeze=False).ravel()
    for axes in grid[len(rows) :]:
        axes.set_axis_off()  # not removed: examples have one size in all blocks
    for axes, row in zip(grid, rows, strict=False):
        tiles = []
        for variant in ("adversarial", "clean"):
            png = versions.get((row["split"], row["index"], variant))
            if png is None:
                raise ValueError(f"{words.path}: {row['split']} image {row['index']} is not among the stimuli")
            tiles.append(mosaics.as_rgb(encoded_images.decoded(png, f"{row['split']} image {row['index']}")[None])[0])
        plotted_data.name(axes, f"{verdict}: {row['split']} image {row['index']}")
        meant = [(row["index"], f"{version}; {words.heading(row)}".replace("\n", ", ")) for version in
                 ("attacked", "clean")]  # fmt: skip
        mosaics.show(axes, [tiles], ["attacked", "clean"], "", [meant], series=verdict, gap=6, below=True)
        axes.set_title(words.heading(row), fontsize=style.SMALLEST, fontweight="normal", pad=4, linespacing=1.25)


def _remarks(table, who):
    """Return sentences: how many images got each verdict."""
    judged = table[table["verdict"] != "unjudged"]
    whose = ""
    if table["simulated"].any():
        whose = "Simulated participants are made up by a program; no person answered."
    elif who == "models":
        whose = "No person has answered."
    if judged.empty:
        return [whose]
    counts = [f"{name} {n:,} ({numbers.percent(n / len(judged))})" for name in _VERDICTS
              if (n := int((judged["verdict"] == name).sum())) or (name != "valid" and who != "models")]  # fmt: skip
    missing = len(table) - len(judged)
    return [
        f"Of {numbers.plural(len(judged), 'image')} that fooled the network and"
        f" {'was' if len(judged) == 1 else 'were'} judged by {who}: {', '.join(counts)}.",
        f"{numbers.plural(missing, 'image')} not judged yet." if missing else "",
        whose,
    ]
