"""Folded indexes in FAISS's own Python package, which knows nothing of us.

Oracle: the paper in float64 NumPy (Bogolin et al. 2022, equation 4 and section
3.3), over real embeddings. Runs README.md's own lines for DIS.

    test_folded.py SOURCE PROGRAM
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import faiss
import numpy as np

source, program = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
data = source / "bench/data/manpages-de-en-small"
beta = 30
k = 10
tolerance = 1e-5


def unit(name):
    rows = np.load(data / name).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def log_mean_exp(scores):
    top = scores.max(axis=0)
    return top + np.log(np.exp(scores - top).mean(axis=0))


def readme_lines():
    section = (source / "README.md").read_text().split("## From stock FAISS")[1]
    section = section.split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return block


def qbnorm(*words):
    subprocess.run([program, *map(str, words)], check=True,
                   stdout=subprocess.DEVNULL)


class Folded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        gallery, bank, queries = map(
            unit, ("gallery.npy", "querybank.npy", "queries.npy"))
        cls.gallery = gallery.astype(np.float32)
        cls.queries = queries.astype(np.float32)
        probe = bank @ gallery.T
        offsets = log_mean_exp(beta * probe) / beta
        cls.mean = offsets.mean()
        cls.raw = queries @ gallery.T
        cls.normalised = cls.raw - offsets
        cls.active = np.unique(probe.argmax(axis=1))
        cls.gate = np.isin(cls.raw.argmax(axis=1), cls.active)
        for method in ("is", "dis"):
            qbnorm("fit", "--gallery", data / "gallery.npy", "--querybank",
                   data / "querybank.npy", "--normalize", "--beta", beta,
                   "--method", method, "-o", f"{method}.qbn")
            qbnorm("search", "--gallery", data / "gallery.npy", "--queries",
                   data / "queries.npy", "--normalize", "--table",
                   f"{method}.qbn", "-k", k, "-o", method)

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    def fold(self, *words):
        qbnorm("fold", "--table", "dis.qbn", "--gallery", data / "gallery.npy",
               "--normalize", "--activation", "active.npy", "-o",
               "folded.faiss", *words)
        return faiss.read_index("folded.faiss")

    def write_base(self):
        """An index file of FAISS's own making, which probes every list."""
        base = faiss.index_factory(128, "IVF32,SQ8",
                                   faiss.METRIC_INNER_PRODUCT)
        base.train(self.gallery)
        base.add(self.gallery)
        base.nprobe = 32
        faiss.write_index(base, "base.faiss")

    def dis(self):
        """README.md's answer from folded.faiss."""
        names = {"faiss": faiss, "np": np, "queries": self.queries, "k": k}
        exec(readme_lines(), names)
        return names["distances"], names["labels"]

    def expect_ranking(self, scores, found, shift=0.0):
        distances, labels = found
        best = -np.sort(-scores, axis=1)[:, :labels.shape[1]]
        at = np.take_along_axis(scores, labels, axis=1)
        np.testing.assert_allclose(at, best, rtol=0, atol=tolerance)
        np.testing.assert_allclose(distances, best + shift, rtol=0,
                                   atol=tolerance)
        for row in labels:
            self.assertEqual(len(set(row)), len(row))

    def expect_is(self, index):
        for n in (len(self.queries), 5, 1):  # FAISS has a path for few queries
            self.expect_ranking(self.normalised[:n],
                                index.search(self.queries[:n], k), self.mean)

    def expect_dis(self):
        distances, labels = self.dis()
        gate = self.gate
        self.assertTrue(0 < gate.sum() < len(gate))
        self.expect_ranking(self.normalised[gate],
                            (distances[gate], labels[gate]), self.mean)
        self.expect_ranking(self.raw[~gate], (distances[~gate], labels[~gate]))

    def expect_ours(self, method, labels):
        """Answers of qbnorm search, but for what rounding swaps."""
        ours = np.load(f"{method}.labels.npy")
        self.assertGreater((labels == ours).mean(), 0.9995)

    def recall(self, scores, labels):
        best = np.argsort(-scores, axis=1)[:, :k]
        hits = [len(set(a) & set(b)) for a, b in zip(best, labels)]
        return sum(hits) / best.size

    def test_flat(self):
        index = self.fold()
        self.expect_is(index)
        self.expect_ours("is", index.search(self.queries, k)[1])
        self.expect_dis()
        self.expect_ours("dis", self.dis()[1])
        np.testing.assert_array_equal(np.load("active.npy").ravel(),
                                      self.active)
        np.testing.assert_allclose(index.reconstruct_n(0, 2000), self.gallery,
                                   rtol=0, atol=1e-7)

    def test_ivf_with_every_list_probed(self):
        index = self.fold("--factory", "IVF32,Flat")
        faiss.downcast_index(index.index).nprobe = 32
        self.expect_is(index)
        faiss.write_index(index, "folded.faiss")  # with its nprobe
        self.expect_dis()

    def test_refine_of_every_item(self):
        self.write_base()
        index = self.fold("--index", "base.faiss", "--k-factor", 200)
        self.expect_is(index)
        self.expect_ours("is", index.search(self.queries, k)[1])
        self.expect_dis()
        self.expect_ours("dis", self.dis()[1])
        np.testing.assert_allclose(index.reconstruct(7), self.gallery[7],
                                   rtol=0, atol=1e-7)

    def test_what_the_readme_warns_of(self):
        index = self.fold()
        with self.assertRaises(RuntimeError):
            faiss.clone_index(index)
        index.add(self.gallery[:1])
        distances, labels = index.search(self.queries, 1)
        np.testing.assert_array_equal(labels, 2000)
        np.testing.assert_allclose(distances[:, 0], self.raw[:, 0] + 1, rtol=0,
                                   atol=tolerance)

    def test_approximate_kinds_find_most(self):
        self.write_base()
        for least, words in ((0.97, ("--factory", "HNSW32")),
                             (0.97, ("--factory", "SQ8")),
                             (0.90, ("--index", "base.faiss"))):
            index = self.fold(*words)
            if "HNSW32" in words:
                faiss.downcast_index(index.index).hnsw.efSearch = 128
            labels = index.search(self.queries, k)[1]
            found = self.recall(self.normalised, labels)
            print(*words, f"recall@10 {found:.4f}")
            self.assertGreater(found, least, words)


if __name__ == "__main__":
    print("faiss-cpu", faiss.__version__)
    unittest.main(argv=sys.argv[:1])
