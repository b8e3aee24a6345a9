#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace faiss_qbnorm {

/// What the library throws: one sentence for the user, saying what was wrong
/// and what to do about it.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Strings the parts together and throws them as an Error.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    throw Error(out.str());
}

template <class... Parts>
void require(bool condition, const Parts&... parts) {
    if (!condition) fail(parts...);
}

}  // namespace faiss_qbnorm
