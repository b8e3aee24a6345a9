#include "faiss_qbnorm/cli/table_report.h"

#include <sstream>

namespace faiss_qbnorm::cli {

std::string describe(const NormTable& table) {
    std::ostringstream text;
    if (table.is_whole()) {
        text << "table of " << table.gallery_size << " items";
    } else {
        text << "part of a table: rows " << table.begin << ":" << table.end
             << " of " << table.gallery_size << " items";
    }
    text << ", d = " << table.d << ", metric " << name_of(table.metric);
    for (const BankColumn& column : table.columns) {
        const double share = 100.0 *
                             static_cast<double>(column.activation.count()) /
                             static_cast<double>(table.size());
        text << "; "
             << (column.bank == Bank::querybank ? "querybank" : "gallerybank")
             << " of " << column.bank_size << ", method "
             << name_of(column.normalization.method) << ", beta "
             << column.normalization.beta
             << "; activation set (k = " << column.normalization.activation_k
             << ") of " << column.activation.count() << " items";
        if (table.size() > 0) {
            const auto precision = text.precision(1);
            text << " (" << std::fixed << share << " %)" << std::defaultfloat;
            text.precision(precision);
        }
        if (column.lists.length > 0) {
            text << "; bank lists of " << column.lists.length;
        }
    }
    return text.str();
}

void describe(const NormTable& table, nlohmann::ordered_json& report) {
    report["gallery_size"] = table.gallery_size;
    report["rows"] = {table.begin, table.end};
    report["d"] = table.d;
    report["metric"] = name_of(table.metric);
    report["fingerprint"] = table.fingerprint;
    for (const BankColumn& column : table.columns) {
        report["columns"].push_back(
            {{"bank",
              column.bank == Bank::querybank ? "querybank" : "gallerybank"},
             {"method", name_of(column.normalization.method)},
             {"beta", column.normalization.beta},
             {"activation_k", column.normalization.activation_k},
             {"bank_size", column.bank_size},
             {"activation_set", column.activation.count()},
             {"list_length", column.lists.length}});
    }
}

}  // namespace faiss_qbnorm::cli
