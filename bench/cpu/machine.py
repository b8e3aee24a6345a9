"""What the report says of the machine, the build and the repository."""

import glob
import json
import os
import platform
import re
import subprocess

# Of an environment that tests put up with: OpenBLAS would choose better.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16",
         "amx_int8")
ENVIRONMENT = ("OMP_", "GOMP_", "OPENBLAS_", "DNNL_", "ONEDNN_", "QBNORM_",
               "MKL_")


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def output_of(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True,
                                timeout=120)
        return result.stdout.strip() if result.returncode == 0 else ""
    except (OSError, subprocess.SubprocessError):
        return ""


def field(text, name):
    found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def cpu_flags():
    """Those that matter and are there."""
    there = field(read("/proc/cpuinfo"), "flags").split()
    return [flag for flag in FLAGS if flag in there]


def caches():
    found = []
    pattern = "/sys/devices/system/cpu/cpu0/cache/index*"
    for folder in sorted(glob.glob(pattern)):
        kind = read(folder + "/type").strip()
        if kind != "Instruction":
            level = read(folder + "/level").strip()
            found.append(f"L{level} {read(folder + '/size').strip()}")
    return ", ".join(found) + " as one core sees them" if found else "unknown"


def set_in_environment():
    """What OpenMP, OpenBLAS or oneDNN read."""
    found = [f"{name}={value}" for name, value in sorted(os.environ.items())
             if name.startswith(ENVIRONMENT)]
    return ", ".join(found) or "nothing that OpenMP, OpenBLAS or oneDNN read"


def facts():
    """Of the machine, as name and text."""
    info = read("/proc/cpuinfo")
    memory = int(field(read("/proc/meminfo"), "MemTotal").split()[0]) * 1024
    missing = [flag for flag in FLAGS if flag not in cpu_flags()]
    return {
        "CPU": f"{field(info, 'model name')},"
               f" family {field(info, 'cpu family')}"
               f" model {field(info, 'model')}",
        "cores": str(len(os.sched_getaffinity(0))),
        "caches": caches(),
        "memory": f"{memory / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "transparent huge pages":
            read("/sys/kernel/mm/transparent_hugepage/enabled").strip(),
        "instruction sets": ", ".join(cpu_flags()) +
            (f" (not {', '.join(missing)})" if missing else ""),
        "load when it began": "%.2f %.2f %.2f" % os.getloadavg(),
        "environment": set_in_environment(),
    }


def commit():
    name = output_of("git", "rev-parse", "HEAD") or "unknown"
    changed = output_of("git", "status", "--porcelain")
    return name + (" and changes not committed" if changed else "")


def build_facts(build, program):
    cache = read(os.path.join(build, "CMakeCache.txt"))
    found = re.search(r"^CMAKE_BUILD_TYPE:[A-Z]+=(.*)$", cache, re.MULTILINE)
    kind = found.group(1) if found else "unknown"
    compilers = glob.glob(os.path.join(build, "CMakeFiles", "*",
                                       "CMakeCXXCompiler.cmake"))
    text = read(compilers[0]) if compilers else ""
    found = re.search(r'CMAKE_CXX_COMPILER_ID "(.*)"', text)
    name = found.group(1) if found else "compiler"
    built = json.loads(output_of(program, "facts") or "{}")
    result = {"build": f"{kind}, {name} {built.pop('compiler', 'unknown')}"}
    result["FAISS (in process)"] = built.pop("FAISS", "unknown")
    result.update({name: str(value) for name, value in built.items()})
    return result


def newer_sources(program):
    """Sources that were changed after the program was built."""
    built = os.path.getmtime(program)
    files = output_of("git", "ls-files", "faiss_qbnorm", "bench").split("\n")
    return [file for file in files
            if file.endswith((".cpp", ".h", "CMakeLists.txt"))
            and os.path.exists(file) and os.path.getmtime(file) > built]
