#include "faiss_qbnorm/core/normalization.h"

#include <array>
#include <iterator>
#include <sstream>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

struct Name {
    Method method;
    const char* name;
};

constexpr Name names[] = {
    {Method::none, "none"},       {Method::cent, "cent"},
    {Method::gc, "gc"},           {Method::csls, "csls"},
    {Method::nnn, "nnn"},         {Method::is, "is"},
    {Method::dis, "dis"},         {Method::dualis, "dualis"},
    {Method::dualdis, "dualdis"}, {Method::dbsn, "dbsn"},
};

void check_beta(const char* name, float beta) {
    require(beta > 0 && beta <= max_beta, name, " is ", beta,
            " but must be in (0, 10000]");
}

void check_count(const char* name, idx_t count, idx_t most) {
    require(count >= 1 && count <= most, name, " is ", count,
            " but must be in 1 to ", most);
}

}  // namespace

void check(const Normalization& n) {
    check_beta("beta", n.beta);
    check_beta("beta2", n.beta2);
    check_count("activation_k", n.activation_k, max_activation_k);
    check_count("neighbours", n.neighbours, max_neighbours);
    check_count("iterations", n.iterations, max_iterations);
    require(n.alpha >= 0 && n.alpha <= max_alpha, "alpha is ", n.alpha,
            " but must be in [0, 100]");
    name_of(n.method);
}

std::string to_string(const Normalization& n) {
    const auto said = [](const auto&... words) {
        std::ostringstream text;
        (text << ... << words);
        return text.str();
    };
    std::string text = name_of(n.method);
    if (n.method == Method::none) return text;
    switch (column_kind(n.method)) {
        case Method::csls:
            return text + said(", neighbours ", n.neighbours);
        case Method::nnn:
            return text +
                   said(", neighbours ", n.neighbours, ", alpha ", n.alpha);
        case Method::dbsn:
            return text +
                   said(", beta ", n.beta, ", iterations ", n.iterations);
        case Method::is:
            text += said(", beta ", n.beta);
            if (is_dual(n.method)) text += said(", beta2 ", n.beta2);
            return text + said(", activation_k ", n.activation_k);
        default:
            return text;
    }
}

bool same_fit(const Normalization& a, const Normalization& b) {
    if (column_kind(a.method) != column_kind(b.method)) return false;
    switch (column_kind(a.method)) {
        case Method::csls:
            return a.neighbours == b.neighbours;
        case Method::nnn:
            return a.neighbours == b.neighbours && a.alpha == b.alpha;
        case Method::dbsn:
            return a.beta == b.beta && a.iterations == b.iterations;
        case Method::is:
            return a.beta == b.beta && a.activation_k == b.activation_k &&
                   (!is_dual(a.method) || !is_dual(b.method) ||
                    a.beta2 == b.beta2);
        default:
            return true;
    }
}

std::span<const Method> all_methods() {
    static constexpr auto methods = [] {
        std::array<Method, std::size(names)> result{};
        for (size_t i = 0; i < std::size(names); i++) {
            result[i] = names[i].method;
        }
        return result;
    }();
    return methods;
}

Method method_from_name(std::string_view name) {
    std::string known;
    for (const Name& entry : names) {
        if (name == entry.name) return entry.method;
        known += (known.empty() ? "" : ", ") + std::string(entry.name);
    }
    fail("unknown method '", name, "'; the methods are ", known);
}

std::string name_of(Method method) {
    for (const Name& entry : names) {
        if (method == entry.method) return entry.name;
    }
    fail("unknown method number ", static_cast<std::uint32_t>(method));
}

Metric metric_from_name(std::string_view name) {
    for (Metric metric : {Metric::inner_product, Metric::l2}) {
        if (name == name_of(metric)) return metric;
    }
    fail("unknown metric '", name, "'; the metrics are ip, l2");
}

std::string name_of(Metric metric) {
    switch (metric) {
        case Metric::inner_product:
            return "ip";
        case Metric::l2:
            return "l2";
    }
    fail("unknown metric number ", static_cast<std::uint32_t>(metric));
}

}  // namespace faiss_qbnorm
