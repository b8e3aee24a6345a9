#include "faiss_qbnorm/eval/method_tables.h"

#include <algorithm>

#include "faiss_qbnorm/eval/hubness.h"

namespace faiss_qbnorm {

namespace {

bool needs_table(Method method) {
    return method != Method::none && method != Method::gc;
}

// Whether a table of either serves both, given two banks where one is dual.
bool share_columns(const Normalization& a, const Normalization& b) {
    Normalization same = a;
    same.method = b.method;
    return column_kind(a.method) == column_kind(b.method) && same == b;
}

}  // namespace

std::vector<idx_t> MethodTables::bank_first() const {
    return first_items(column_of(tables.front(), Bank::querybank).lists);
}

MethodTables fit_methods(
    std::span<const Normalization> asked,
    const std::function<NormTable(const Normalization&)>& fit) {
    std::vector<Normalization> fitted;
    const auto softmax =
        std::find_if(asked.begin(), asked.end(), [](const Normalization& n) {
            return needs_table(n.method) && column_kind(n.method) == Method::is;
        });
    fitted.push_back(softmax == asked.end() ? Normalization(Method::dis)
                                            : *softmax);
    MethodTables result;
    for (const Normalization& one : asked) {
        result.methods.push_back(one.method);
        size_t table = 0;
        if (needs_table(one.method)) {
            const auto same = std::find_if(fitted.begin(), fitted.end(),
                                           [&](const Normalization& other) {
                                               return share_columns(one, other);
                                           });
            table = same - fitted.begin();
            if (same == fitted.end()) fitted.push_back(one);
            if (is_dual(one.method)) fitted[table].method = one.method;
        }
        result.table_of.push_back(table);
    }
    for (const Normalization& one : fitted) result.tables.push_back(fit(one));
    return result;
}

}  // namespace faiss_qbnorm
