#include "faiss_qbnorm/core/normalization.h"

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

void check(const Normalization& normalization) {
    require(normalization.beta > 0 && normalization.beta <= max_beta,
            "beta is ", normalization.beta, " but must be in (0, 10000]");
    require(normalization.activation_k >= 1 &&
                normalization.activation_k <= max_activation_k,
            "activation_k is ", normalization.activation_k,
            " but must be in 1 to ", max_activation_k);
    name_of(normalization.method);
}

Method method_from_name(std::string_view name) {
    for (Method method : {Method::none, Method::is, Method::dis}) {
        if (name == name_of(method)) return method;
    }
    fail("unknown method '", name, "'; the methods are none, is, dis");
}

std::string name_of(Method method) {
    switch (method) {
        case Method::none:
            return "none";
        case Method::is:
            return "is";
        case Method::dis:
            return "dis";
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
