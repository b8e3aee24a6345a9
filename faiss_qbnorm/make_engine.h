#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// The engines of this build.
std::vector<std::string> engine_names();

/// Whether make_engine knows the name; a device that it names may be missing.
bool is_engine_name(std::string_view name);

/// The engine called `name`: "cpu", "cpu:blas" for plain BLAS products, "cuda"
/// on the first device, "cuda:1" on the second, and so on. An empty name means
/// the environment's QBNORM_ENGINE or, where that is unset or empty, the first
/// of engine_names. A name that is unknown, a missing device and a precision
/// that the engine does not have throw: no other engine steps in quietly.
std::unique_ptr<Engine> make_engine(std::string_view name = {},
                                    Precision precision = Precision::automatic);

}  // namespace faiss_qbnorm
