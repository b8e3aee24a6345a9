#include "faiss_qbnorm/make_engine.h"

#include <cstdlib>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"

namespace faiss_qbnorm {

std::vector<std::string> engine_names() {
    return {"cpu"};
}

std::unique_ptr<Engine> make_engine(std::string_view name) {
    if (name.empty()) {
        const char* forced = std::getenv("QBNORM_ENGINE");
        name = forced ? forced : "";
    }
    if (name.empty() || name == "cpu") return make_engine_cpu();
    std::string known;
    for (const std::string& engine : engine_names()) {
        known += (known.empty() ? "" : ", ") + engine;
    }
    fail("unknown engine '", name, "'; this build has: ", known);
}

}  // namespace faiss_qbnorm
