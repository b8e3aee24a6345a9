#pragma once

#include <faiss/impl/FaissException.h>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

/// Runs `call`, whose errors users of FAISS catch as FaissException.
template <class Call>
auto as_faiss(Call call) {
    try {
        return call();
    } catch (const Error& problem) {
        throw faiss::FaissException(problem.what());
    }
}

}  // namespace faiss_qbnorm
