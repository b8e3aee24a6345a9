#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// The engines of this build.
std::vector<std::string> engine_names();

/// The engine called `name`. An empty name means the environment's
/// QBNORM_ENGINE or, where that is unset or empty, the first of engine_names.
/// An unknown name throws: no other engine steps in quietly.
std::unique_ptr<Engine> make_engine(std::string_view name = {});

}  // namespace faiss_qbnorm
