"""Benchmarks whose references live in processes of their own: scan and dis.

Every process answers one request at a time and sleeps otherwise. Between two of
them is a pause, because the threads of a process that is done spin for some
milliseconds yet.
"""

import contextlib
import json
import math
import statistics
import subprocess
import time

PAUSE = 0.05
LEAST = 0.02  # seconds of one timing
SLOW = 1.0  # seconds of a round that is repeated less
ROUNDS, SLOW_ROUNDS = 9, 5


class Failed(Exception):
    """A sentence for the report."""


class Child:
    """A process that answers lines of JSON (serve.h)."""

    def __init__(self, command):
        self.name = command[0]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            problem = self.process.stderr.read().strip().split("\n")
            raise Failed(problem[-1] or f"{self.name} ended early")
        return json.loads(line)

    def ask(self, **request):
        # One that has ended says why when it is read.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self.read()

    def prepare(self, **request):
        return self.ask(do="prepare", **request)["prepared"]

    def peak(self):
        return self.ask(do="peak")["bytes"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


class Turn:
    """One contender: a child and what it should run."""

    def __init__(self, name, child, what, work):
        self.name, self.child, self.what, self.work = name, child, what, work
        self.answers = []

    def time(self, calls):
        time.sleep(PAUSE)
        return self.child.ask(do="time", what=self.what, calls=calls)

    def calibrate(self):
        """Runs it once; short calls are repeated within a timing."""
        first = self.time(1)
        self.calls = max(1, math.ceil(LEAST / max(first["seconds"], 1e-7)))
        return first

    def measured(self):
        seconds = [answer["seconds"] for answer in self.answers]
        return {"name": self.name, "work": self.work,
                "seconds": statistics.median(seconds),
                "spread": [min(seconds), max(seconds)]}


def race(turns):
    """Times all in turn."""
    firsts = [turn.calibrate() for turn in turns]
    slow = sum(first["seconds"] for first in firsts) > SLOW
    if slow:  # warm after its first instants
        for turn, first in zip(turns, firsts):
            turn.answers.append(first)
    while len(turns[0].answers) < (SLOW_ROUNDS if slow else ROUNDS):
        for turn in turns:
            turn.answers.append(turn.time(turn.calls))
    return [turn.measured() for turn in turns]


def row(benchmark, parameters, unit, measured, missing, notes=None):
    return {"benchmark": benchmark, "parameters": parameters, "unit": unit,
            "ours": measured[0], "references": measured[1:],
            "missing": missing, "notes": notes or {}}


def scan(tools, quick):
    """Exact DIS searches against FAISS's flat indexes."""
    items, dimensions = (2000, (16,)) if quick else (100000, (128, 512))
    batches = (1, 16, 100) if quick else (1, 16, 64, 1000, 10000)
    for d in dimensions:
        given = {"d": d, "items": items, "bank": 1000, "queries": max(batches),
                 "scratch": tools.scratch}
        with tools.serve("scan", given) as ours, \
                tools.peer("faiss", d) as pypi:
            for k in (10, 100):
                for nq in batches:
                    yield scan_one(given, ours, pypi, tools, nq, k)


def scan_one(given, ours, pypi, tools, nq, k):
    notes = ours.prepare(nq=nq, k=k)
    turns = [Turn("IndexQBNorm", ours, "ours", nq),
             Turn("IndexFlatIP, Debian's FAISS", ours, "debian", nq)]
    if pypi:
        pypi.prepare(nq=nq, k=k)
        turns.append(Turn("IndexFlatIP, faiss-cpu of PyPI", pypi, "", nq))
    parameters = {"d": given["d"], "items": given["items"], "nq": nq, "k": k}
    missing = {} if pypi else {"faiss-cpu of PyPI": tools.no_peer}
    return row("scan", parameters, "queries/s", race(turns), missing, notes)


def dis(tools, quick):
    """From vectors to answers against the papers' code."""
    given = {"d": 16, "items": 1500, "bank": 200, "nq": 50, "k": 10} if quick \
        else {"d": 512, "items": 50000, "bank": 10000, "nq": 1000, "k": 10}
    given = given | {"scratch": tools.scratch}
    parameters = {name: given[name]
                  for name in ("d", "items", "bank", "nq", "k")}
    with tools.serve("dis", given) as ours, \
            tools.peer("numpy", given["d"]) as numpy:
        firsts = ours.prepare()
        turns = [Turn("fit and exact_search", ours, "ours", given["nq"])]
        if numpy:
            require_same(firsts, numpy.prepare(k=given["k"]))
            turns.append(Turn("NumPy, as published", numpy, "", given["nq"]))
        measured = race(turns)
        notes = {"MB at most, ours": ours.peak() / 1e6}
        if numpy:
            notes["MB at most, NumPy"] = numpy.peak() / 1e6
            notes |= without_sorting(turns[1], measured[0]["seconds"])
        missing = {} if numpy else {"NumPy": tools.no_peer}
        yield row("dis", parameters, "queries/s", measured, missing, notes)


def without_sorting(numpy, ours):
    """What an argmax in the place of the bank's argsort would come to."""
    seconds = statistics.median(answer["seconds"] - answer["sorting"]
                                for answer in numpy.answers)
    return {"seconds of NumPy less its sorting of the bank's scores": seconds,
            "ratio to that": ours / seconds}


def require_same(ours, theirs):
    """The reference computes the same, but for the last digits."""
    same = sum(a == b for a, b in zip(ours, theirs)) / len(ours)
    if same < 0.98:
        raise Failed(f"only {same:.0%} of the first items are NumPy's")


BENCHMARKS = {"scan": scan, "dis": dis}
