"""Rows of measurements as Markdown."""

from goals import goal_of

TITLES = {
    "probe": "Building the table, against the fp32 product alone",
    "probe_lists": "Building it with bank lists, against without",
    "scan": "Exact DIS search, against FAISS's flat index, not normalised",
    "ivf": "Search over IVF, against the bare base",
    "hnsw": "Search over HNSW, against the bare base",
    "curve": "What of the full scan's normalised top 10 each way finds",
    "threads": "Searches from host threads with one OpenMP thread each, against"
               " one of them",
    "rerank": "Reranking, against reading the same offsets",
    "dis": "Fit and search, against the papers' code",
    "add": "Adding 1 %, against the full fit",
    "file": "Fitting a mapped file, against fitting in memory",
}
SCALES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def seconds(value):
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def rate(measured, unit):
    value = measured["work"] / measured["seconds"]
    if unit == "GF/s":
        return f"{value:.4g} GF/s"
    for scale, letter in SCALES:
        if value >= scale:
            return f"{value / scale:.3g}{letter} {unit}"
    return f"{value:.3g} {unit}"


def shown(parameters):
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def ratio_of(row, reference, of):
    """Ours over the reference's."""
    ours = row["ours"]
    by_time = ours["seconds"] / reference["seconds"]
    return by_time if of == "time" else \
        ours["work"] / reference["work"] / by_time


def references(row, of):
    parts = [f"{reference['name']}: {seconds(reference['seconds'])},"
             f" {rate(reference, row['unit'])}"
             f" ({ratio_of(row, reference, of):.3f})"
             for reference in row["references"]]
    parts += [f"{name}: not measured, {why}"
              for name, why in row["missing"].items()]
    return "; ".join(parts)


def judged(row, flags):
    """Ratio, goal, whether it was met, and what was expected."""
    goal = goal_of(row, flags)
    of = goal.of if goal else "rate"
    ratios = [ratio_of(row, reference, of) for reference in row["references"]]
    if not ratios:
        return [""] * 4
    ratio = min(ratios) if of == "rate" else max(ratios)
    if not goal:
        return [f"{ratio:.3f} of rates", "none", "", ""]
    met = "yes" if goal.met(ratio) else "**no**"
    if row["missing"]:
        met += ", of what was measured"
    return [f"{ratio:.3f} of {goal.of}s", f"{goal.sign()} {goal.limit}", met,
            f"{goal.expected}"]


def note(row):
    return "; ".join(f"{name} {number(value)}"
                     for name, value in row["notes"].items())


def table_row(row, flags):
    if "not_measured" in row:
        why = f"not measured: {row['not_measured']}"
        return [shown(row["parameters"]), why] + [""] * 7
    ours = row["ours"]
    low, high = row["ours"]["spread"]
    goal = goal_of(row, flags)
    return [shown(row["parameters"]),
            f"{seconds(ours['seconds'])} ({seconds(low)} to {seconds(high)})",
            rate(ours, row["unit"]),
            references(row, goal.of if goal else "rate"),
            *judged(row, flags), note(row)]


def table(head, lines):
    cells = [head, ["-"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def curve(rows):
    lines = []
    for row in rows:
        parameters, ours = row["parameters"], row["ours"]
        milliseconds = 1e3 * ours["seconds"] / ours["work"]
        lines.append([parameters["way"], parameters["setting"],
                      f"{milliseconds:.4f}", f"{row['notes']['recall']:.4f}"])
    common = {name: value for name, value in rows[0]["parameters"].items()
              if name not in ("way", "setting")}
    return f"{shown(common)}; method is.\n\n" + table(
        ["way", "setting", "ms a query", "recall@10"], lines)


def section(benchmark, rows, flags):
    title = f"## {TITLES[benchmark]}\n\n"
    if benchmark == "curve":
        return title + curve(rows)
    head = ["parameters", "ours (least to most)", "rate",
            "references: time, rate (ratio)", "ratio", "goal", "met",
            "expected", "notes"]
    return title + table(head, [table_row(row, flags) for row in rows])


def facts(title, found):
    lines = [f"- {name}: {value}" for name, value in found.items()]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def why_not_measured(row):
    """Sentences, of a row or of references of it."""
    if "not_measured" in row:
        return [row["not_measured"]]
    return [f"{name}: {why}" for name, why in row["missing"].items()]


def summary(rows, flags):
    """How many goals there were, and those not met."""
    judged_rows = [(row, judged(row, flags)) for row in rows
                   if row.get("references") and goal_of(row, flags)]
    missed = [(row, judgement) for row, judgement in judged_rows
              if judgement[2].startswith("**no**")]
    lines = [f"{len(judged_rows) - len(missed)} of {len(judged_rows)} rows with"
             " a goal met it.\n"]
    lines += [f"- not met: {row['benchmark']} ({shown(row['parameters'])}):"
              f" {judgement[0]}, goal {judgement[1]}"
              for row, judgement in missed]
    lines += [f"- not measured: {row['benchmark']}"
              f" ({shown(row['parameters'])}): {why}"
              for row in rows for why in why_not_measured(row)]
    return "\n".join(lines) + "\n"
