"""Writes what run_gpu found as Markdown: report.py OUT COMMIT COMMAND < steps,
a step a line: name, result, seconds and log, tab between them."""

import json
import os
import subprocess
import sys


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def driver():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total",
             "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True,
                              timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def number(value):
    return f"{value:.4g}" if value < 1e5 else f"{value:.3e}"


def shown(parameters):
    return ", ".join(f"{name} = {value}" for name, value in parameters.items())


def met(result):
    if "met" not in result:
        return ""
    return "yes" if result["met"] else "**no**"


def row(result):
    if not result["verified"]:
        return (f"| {result['benchmark']} | **failed**: "
                f"{result.get('problem', '')} | | | | | |")
    low, high = result["spread"]
    reference = result.get("reference")
    against = (f"{reference['name']}: {number(reference['rate'])}"
               if reference else "")
    ratio = f"{result['ratio']:.3f}" if "ratio" in result else ""
    return (f"| {result['benchmark']} | {shown(result['parameters'])} "
            f"| {number(result['seconds'])} "
            f"({number(low)} to {number(high)}) "
            f"| {number(result['rate'])} {result['unit']} | {against} "
            f"| {ratio} | {result.get('goal', '')} | {met(result)} |")


def with_torch(results, torch):
    """The results, with dis beside PyTorch where that ran."""
    for result in results:
        if result["benchmark"] == "dis" and torch.get("verified"):
            nq = torch["parameters"]["queries"]
            result["reference"] = {
                "name": f"PyTorch {torch['torch']}, {torch['rounds']} rounds",
                "rate": nq / torch["seconds"]}
            result["ratio"] = result["seconds"] / torch["seconds"]
            goal = float(result["goal"].split()[-1])
            result["met"] = result["ratio"] <= goal
        yield result


def main():
    out, commit, command = sys.argv[1:4]
    steps = [line.rstrip("\n").split("\t") for line in sys.stdin if line.strip()]
    bench = read_json(os.path.join(out, "bench_gpu.json"))
    torch = read_json(os.path.join(out, "torch_dis.json"))
    print("# The CUDA engine on a GPU\n")
    print(f"Commit {commit}. `{command}`\n")
    print(f"nvidia-smi: {driver() or 'no answer'}\n")
    for name, value in bench.get("machine", {}).items():
        print(f"- {name}: {value}")
    print("\n## Steps\n\n| step | result | seconds | log |\n|-|-|-|-|")
    for name, result, seconds, log in steps:
        print(f"| {name} | {result} | {seconds} | {log} |")
    print("\n## Benchmarks\n")
    if bench.get("small"):
        print("**--small: these figures say nothing.**\n")
    print("Medians (least to most); each result was verified first. A ratio is "
          "ours over the reference's: of rates where the goal is >=, of seconds "
          "where it is <=.\n")
    print("| benchmark | parameters | seconds | rate | reference's rate | ratio "
          "| goal | met |\n|-|-|-|-|-|-|-|-|")
    for result in with_torch(bench.get("results", []), torch):
        print(row(result))


main()
