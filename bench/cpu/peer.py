"""A process that bench/run times in turn with bench_cpu: faiss-cpu or NumPy.

    peer.py facts
    peer.py faiss FOLDER D    gallery.f32 and queries.f32 in a flat index
    peer.py numpy FOLDER D    also bank.f32: the papers' code

Requests and answers are those of serve.h.
"""

import json
import resource
import sys
import time

import numpy as np

BETA = 20


def vectors(folder, name, d):
    return np.fromfile(f"{folder}/{name}.f32", dtype=np.float32).reshape(-1, d)


class Faiss:
    """A search of IndexFlatIP."""

    def __init__(self, folder, d):
        import faiss
        self.queries = vectors(folder, "queries", d)
        self.index = faiss.IndexFlatIP(d)
        self.index.add(vectors(folder, "gallery", d))

    def prepare(self, request):
        self.nq, self.k = request["nq"], request["k"]
        return True

    def run(self):
        self.index.search(self.queries[:self.nq], self.k)
        return {}


class Numpy:
    """Dynamic Inverted Softmax as the papers' authors published it, which sorts
    whole rows for their first item, from vectors to the first k."""

    def __init__(self, folder, d):
        self.bank = vectors(folder, "bank", d)
        self.gallery = vectors(folder, "gallery", d)
        self.queries = vectors(folder, "queries", d)

    def prepare(self, request):
        self.k = request["k"]
        self.run()
        return self.labels[:, 0].tolist()

    def run(self):
        bank = self.bank @ self.gallery.T
        begin = time.perf_counter()
        active = np.unique(np.argsort(-bank, axis=1)[:, 0])
        sorting = time.perf_counter() - begin
        scores = self.queries @ self.gallery.T
        is_open = np.isin(np.argsort(-scores, axis=1)[:, 0], active)
        bank = np.exp(bank * BETA)
        scores = np.exp(scores * BETA)
        scores[is_open] /= np.sum(bank, axis=0)
        self.labels = np.argsort(-scores, axis=1)[:, :self.k]
        return {"sorting": sorting}


def facts():
    import faiss
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"faiss-cpu (PyPI)": f"{faiss.__version__},"
                                f" {faiss.get_compile_options().strip()},"
                                f" {faiss.omp_get_max_threads()} threads",
            "NumPy": f"{np.__version__}, {blas['name']} {blas['version']}"}


def answer(peer, request):
    if request["do"] == "prepare":
        return {"prepared": peer.prepare(request)}
    if request["do"] == "peak":
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"bytes": 1024 * used}
    begin = time.perf_counter()
    for _ in range(request["calls"]):
        more = peer.run()
    return {"seconds": (time.perf_counter() - begin) / request["calls"]} | more


def say(line):
    print(json.dumps(line), flush=True)


def main():
    if sys.argv[1] == "facts":
        say(facts())
        return
    kind = {"faiss": Faiss, "numpy": Numpy}[sys.argv[1]]
    peer = kind(sys.argv[2], int(sys.argv[3]))
    say({"ready": True})
    for line in sys.stdin:
        say(answer(peer, json.loads(line)))


main()
