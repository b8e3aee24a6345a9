#include "bench/papers/report.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

namespace papers {

namespace {

std::string row_of(const Cells& cells) {
    std::string row = "|";
    for (const std::string& cell : cells) row += " " + cell + " |";
    return row + "\n";
}

std::string table_of(const Cells& header, const std::vector<Cells>& rows) {
    std::string text = row_of(header);
    text += row_of(Cells(header.size(), "---"));
    for (const Cells& row : rows) text += row_of(row);
    return text + "\n";
}

Cells joined(Cells before, const Cells& between, const Cells& after) {
    before.insert(before.end(), between.begin(), between.end());
    before.insert(before.end(), after.begin(), after.end());
    return before;
}

}  // namespace

void Report::section(const std::string& title) {
    section_ = title.substr(0, title.find(':'));
    body_ += "### " + title + "\n\n";
}

void Report::paragraph(const std::string& words) {
    body_ += words + "\n\n";
}

void Report::table(const Cells& header, const std::vector<Cells>& rows) {
    body_ += table_of(header, rows);
}

void Report::chart(const faiss_qbnorm::Chart& chart, const std::string& name) {
    std::filesystem::create_directories(folder_);
    const std::string file = dataset_ + "-" + name + ".svg";
    write_svg(chart, folder_ + "/" + file);
    const std::string beside =
        std::filesystem::path(folder_).filename().string();
    body_ += "![" + chart.title + "](" + beside + "/" + file + ")\n\n";
}

void Report::finding(const Finding& finding) {
    const std::string verdict = finding.agrees ? "agrees" : "does not agree";
    agreeing_ += finding.agrees ? 1 : 0;
    findings_.push_back({section_, finding.paper, finding.here,
                         finding.agrees ? "yes" : "**no**"});
    body_ += "The paper: " + finding.paper + ". Here: " + finding.here +
             ": **" + verdict + "**.\n\n";
}

std::string Report::text() const {
    return "### Against the papers: " + std::to_string(agreeing_) + " of " +
           std::to_string(findings_.size()) + " findings agree\n\n" +
           table_of({"", "the paper", "here", "agrees"}, findings_) + body_;
}

Cells with_metric_names(Cells before, const Cells& after) {
    return joined(std::move(before), {"R@1", "R@5", "R@10", "MdR", "gm"},
                  after);
}

Cells with_metrics(Cells before, const MethodReport& report,
                   const Cells& after) {
    const faiss_qbnorm::RetrievalMetrics& r = report.retrieval;
    const double rank = r.median_rank;
    return joined(
        std::move(before),
        {number(r.recall_1, 1), number(r.recall_5, 1), number(r.recall_10, 1),
         number(rank, rank == std::floor(rank) ? 0 : 1),
         number(r.geometric_mean, 1)},
        after);
}

std::string number(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

std::string count(double value) {
    return faiss_qbnorm::tick_label(value);
}

std::string difference(double value) {
    std::string size = number(std::fabs(value), 1);
    if (size == "0.0") return size;
    return (value < 0 ? "-" : "+") + size;
}

std::string recall(const MethodReport& report) {
    return "R@1 " + number(report.retrieval.recall_1, 1);
}

}  // namespace papers
