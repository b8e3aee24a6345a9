#include "bench/papers/run_facts.h"

#include <omp.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>

namespace papers {

std::string machine() {
    std::string processor = "unknown processor";
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (!line.starts_with("model name")) continue;
        processor = line.substr(line.find(':') + 2);
        break;
    }
    return processor + ", " + std::to_string(omp_get_max_threads()) +
           " threads";
}

std::string commit() {
    constexpr const char* command = "git -C \"" QBNORM_SOURCE_DIR
                                    "\" describe --always --dirty 2>/dev/null";
    const std::unique_ptr<FILE, int (*)(FILE*)> git(popen(command, "r"),
                                                    pclose);
    char line[200] = "";
    if (!git || !std::fgets(line, sizeof line, git.get())) return "unknown";
    std::string name(line);
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

std::string date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[40];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
    return text;
}

}  // namespace papers
