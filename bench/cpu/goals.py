"""What every ratio should be, and what was expected before it was measured."""

from dataclasses import dataclass


@dataclass
class Goal:
    """Of the rows of a benchmark whose parameters are `where`; of several
    that match a row the first holds. A rate's ratio should be at least the
    limit, a time's at most."""
    benchmark: str
    where: dict
    of: str  # "rate" or "time": ours over the fastest reference's
    limit: float
    expected: float
    needs: str = ""  # an instruction set

    def matches(self, row, flags):
        return (row["benchmark"] == self.benchmark
                and (not self.needs or self.needs in flags)
                and all(fits(row["parameters"].get(name), wanted)
                        for name, wanted in self.where.items()))

    def met(self, ratio):
        return ratio >= self.limit if self.of == "rate" else ratio <= self.limit

    def sign(self):
        return ">=" if self.of == "rate" else "<="


def fits(value, wanted):
    return wanted(value) if callable(wanted) else value == wanted


def at_least(limit):
    return lambda value: value is not None and value >= limit


AVX512 = "avx512f"
BF16 = "avx512_bf16"
AMX = "amx_bf16"

#     benchmark, parameters, ratio of, goal, expected, instruction set
GOALS = [
    Goal("probe", {"precision": "fp32", "d": 128}, "rate", 0.95, 0.90),
    Goal("probe", {"precision": "fp32"}, "rate", 0.95, 0.97),
    Goal("probe", {"precision": "bf16", "d": at_least(512)},
         "rate", 5.0, 4.0, AMX),
    Goal("probe", {"precision": "bf16"}, "rate", 3.0, 2.5, AMX),
    Goal("probe", {"precision": "bf16", "d": 128}, "rate", 2.0, 1.5, BF16),
    Goal("probe", {"precision": "bf16"}, "rate", 2.0, 1.9, BF16),
    Goal("probe_lists", {"d": 128}, "time", 1.05, 1.10),
    Goal("probe_lists", {}, "time", 1.05, 1.04),
    Goal("scan", {"nq": at_least(64), "d": 512}, "time", 0.25, 0.25, AMX),
    Goal("scan", {"nq": at_least(64)}, "time", 0.5, 0.4, AVX512),
    Goal("scan", {}, "time", 1.0, 0.4),
    Goal("ivf", {}, "time", 1.10, 1.05),
    Goal("hnsw", {}, "time", 1.05, 1.02),
    Goal("threads", {}, "rate", 1.0, 1.0),
    Goal("rerank", {"candidates": 100}, "rate", 0.55, 0.55),
    Goal("dis", {}, "time", 0.1, 0.05),
    Goal("add", {}, "time", 0.012, 0.015),
]


def goal_of(row, flags):
    """None where a row has none."""
    matching = (goal for goal in GOALS if goal.matches(row, flags))
    return next(matching, None)
