"""Dynamic Inverted Softmax in PyTorch: the reference of bench_gpu's "dis".

Reads from bench_gpu's file which search to repeat, makes the same gallery,
queries and table (common/data.cpp, to the bit), searches with half matrix
products and topk, block after block, and writes the median seconds of a batch.
The block size is the best of several.
"""

import argparse
import json
import statistics
import time

import torch

LOW = 0xFFFFFFFF
BLOCKS = (1 << 15, 1 << 17, 1 << 19)


def mix(x):
    """common/data.cpp's mix, of 32-bit numbers held in int64."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & LOW
    x = ((x ^ (x >> 15)) * 0x846CA68B) & LOW
    return x ^ (x >> 16)


def hashed(places, seed):
    return mix((places & LOW) ^ mix(((places >> 32) + seed) & LOW))


def unit_vectors(begin, end, d, seed, device):
    rows = torch.arange(begin, end, device=device)
    columns = torch.arange(d, device=device)
    x = mix((hashed(rows, seed)[:, None] + columns * 0x9E3779B9) & LOW)
    x = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24) - 510
    x[:, 0] += 443
    inverse = (1 / (x * x).sum(1).double().sqrt()).float()
    return x.float() * inverse[:, None]


def half_vectors(rows, d, seed, device):
    result = torch.empty(rows, d, dtype=torch.half, device=device)
    for begin in range(0, rows, 1 << 18):
        end = min(begin + (1 << 18), rows)
        result[begin:end] = unit_vectors(begin, end, d, seed, device)
    return result


def make_table(items, seed, device):
    """Offsets, as halves, and which items are active."""
    places = torch.arange(items, device=device)
    offsets = (hashed(places, seed) >> 8).float() * 2.0**-24 * 0.1 - 0.55
    active = hashed(places >> 5, seed + 1) >> (places & 31) & 1
    return offsets.half(), active.bool()


def merged(best, scores, begin, k):
    """The best k of those so far and of a block's scores."""
    values, labels = scores.topk(min(k, scores.shape[1]), dim=1)
    labels += begin
    if best:
        values = torch.cat((best[0], values), 1)
        labels = torch.cat((best[1], labels), 1)
    values, places = values.topk(min(k, values.shape[1]), dim=1)
    return values, labels.gather(1, places)


def search(queries, gallery, offsets, active, k, block):
    raw = normalised = None
    for begin in range(0, len(gallery), block):
        rows = slice(begin, min(begin + block, len(gallery)))
        scores = queries @ gallery[rows].T
        raw = merged(raw, scores, begin, k)
        normalised = merged(normalised, scores.sub_(offsets[rows]), begin, k)
    is_open = active[raw[1][:, :1]]
    return torch.where(is_open, normalised[1], raw[1])


def seconds_of(work, device):
    begin = time.perf_counter()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin, result


def agreement(answers, expected):
    """The share of bench_gpu's answers that are among ours: below 1, because
    halves round."""
    common = total = 0
    for ours, theirs in zip(answers, expected):
        common += len(set(ours) & set(theirs))
        total += len(theirs)
    return common / total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--like", required=True, help="bench_gpu's file")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seconds", type=float, default=60,
                        help="no round begins after so many")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    device = options.device

    with open(options.like) as file:
        results = json.load(file)["results"]
    dis = [r for r in results if r["benchmark"] == "dis" and r["verified"]]
    if not dis:
        raise SystemExit(f"torch_dis.py: {options.like} has no result of dis")
    p, seeds = dis[0]["parameters"], dis[0]["seeds"]
    items, d, nq, k = p["items"], p["d"], p["queries"], p["k"]
    gallery = half_vectors(items, d, seeds["gallery"], device)
    queries = half_vectors(nq, d, seeds["queries"], device)
    offsets, active = make_table(items, seeds["table"], device)

    def timed(n, block):
        return seconds_of(
            lambda: search(queries, gallery[:n], offsets, active, k, block),
            device)

    part = min(items, 4 * BLOCKS[-1])
    for block in BLOCKS:  # warm-up
        timed(min(part, block), block)
    block = min(BLOCKS, key=lambda size: timed(part, size)[0])

    times = []
    begin = time.perf_counter()
    while len(times) < 5 and (
            not times or time.perf_counter() - begin < options.seconds):
        seconds, answers = timed(items, block)
        times.append(seconds)
    flat = dis[0]["answers"]
    expected = [flat[i:i + k] for i in range(0, len(flat), k)]
    share = agreement(answers[:len(expected)].tolist(), expected)
    result = {
        "benchmark": "dis in PyTorch", "torch": torch.__version__,
        "parameters": p, "block": block, "rounds": len(times),
        "seconds": statistics.median(times),
        "spread": [min(times), max(times)],
        "ratio": dis[0]["seconds"] / statistics.median(times),
        "goal": dis[0]["goal"], "agreement": share,
        "verified": share >= 0.8,
    }
    with open(options.out, "w") as file:
        json.dump(result, file, indent=1)
    print(json.dumps(result))
    if not result["verified"]:
        raise SystemExit("torch_dis.py: the answers are not bench_gpu's")


main()
