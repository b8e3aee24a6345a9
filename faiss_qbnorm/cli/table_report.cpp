#include "faiss_qbnorm/cli/table_report.h"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace faiss_qbnorm::cli {

namespace {

// How FAISS's own file of the base begins.
std::string fourcc_of(const IndexFile& file) {
    std::string result;
    for (const std::byte byte :
         file.base.first(std::min<size_t>(file.base.size(), 4))) {
        const int letter = std::to_integer<int>(byte);
        result += std::isalnum(letter) ? static_cast<char>(letter) : '?';
    }
    return result;
}

std::string name_of(IdMap map) {
    switch (map) {
        case IdMap::none:
            return "none";
        case IdMap::one_way:
            return "IDMap";
        case IdMap::two_way:
            return "IDMap2";
    }
    return "";
}

nlohmann::ordered_json report_of(const BankColumn& column) {
    const Normalization& n = column.normalization;
    nlohmann::ordered_json report{{"bank", name_of(column.bank)},
                                  {"method", name_of(n.method)},
                                  {"bank_size", column.bank_size}};
    switch (column_kind(n.method)) {
        case Method::is:
            report["beta"] = column.beta();
            report["activation_k"] = n.activation_k;
            report["activation_set"] = column.activation.count();
            report["list_length"] = column.lists.length;
            break;
        case Method::dbsn:
            report["beta"] = n.beta;
            report["iterations"] = n.iterations;
            break;
        case Method::nnn:
            report["alpha"] = n.alpha;
            [[fallthrough]];
        case Method::csls:
            report["neighbours"] = n.neighbours;
            break;
        default:
            break;
    }
    return report;
}

}  // namespace

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
        text << "; " << name_of(column.bank) << " of " << column.bank_size
             << ", method ";
        if (!column.has_activation()) {
            text << to_string(column.normalization);
            continue;
        }
        text << name_of(column.normalization.method) << ", beta "
             << column.beta()
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

std::string describe(const IndexFile& file) {
    const IndexInfo& info = file.info;
    std::ostringstream text;
    text << "QBNorm index over an index of FAISS (" << fourcc_of(file)
         << "), d = " << info.d << ", metric " << name_of(info.metric) << ", "
         << info.ntotal << " vectors";
    if (info.id_map != IdMap::none) text << ", in " << name_of(info.id_map);
    text << "; method " << name_of(info.normalization.method) << "; "
         << (file.bank.rows > 0
                 ? "querybank of " + std::to_string(file.bank.rows)
                 : "no querybank")
         << "; " << (file.table ? describe(*file.table) : "no table");
    return text.str();
}

void describe(const NormTable& table, nlohmann::ordered_json& report) {
    report["gallery_size"] = table.gallery_size;
    report["rows"] = {table.begin, table.end};
    report["d"] = table.d;
    report["metric"] = name_of(table.metric);
    report["fingerprint"] = table.fingerprint;
    for (const BankColumn& column : table.columns) {
        report["columns"].push_back(report_of(column));
    }
}

void describe(const IndexFile& file, nlohmann::ordered_json& report) {
    report["base"] = fourcc_of(file);
    report["d"] = file.info.d;
    report["metric"] = name_of(file.info.metric);
    report["ntotal"] = file.info.ntotal;
    report["id_map"] = name_of(file.info.id_map);
    report["method"] = name_of(file.info.normalization.method);
    report["k_factor"] = file.info.k_factor;
    report["min_candidates"] = file.info.min_candidates;
    report["querybank"] = file.bank.rows;
    if (file.table) describe(*file.table, report["table"]);
}

}  // namespace faiss_qbnorm::cli
