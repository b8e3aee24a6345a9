#pragma once

#include <string>
#include <vector>

#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/eval/svg_chart.h"

namespace papers {

using faiss_qbnorm::MethodReport;
using Cells = std::vector<std::string>;

/// What a paper found, and whether this run's numbers say so, too.
struct Finding {
    std::string paper;
    bool agrees = false;
    std::string here;
};

/// One dataset's part of the report, as Markdown; its charts are files.
class Report {
  public:
    /// Charts go to `folder`, which the report lies beside; their names begin
    /// with the dataset's.
    Report(std::string folder, std::string dataset)
        : folder_(std::move(folder)), dataset_(std::move(dataset)) {}

    void section(const std::string& title);
    void paragraph(const std::string& words);
    void table(const Cells& header, const std::vector<Cells>& rows);
    /// Writes the chart and shows it.
    void chart(const faiss_qbnorm::Chart& chart, const std::string& name);
    /// States it here and in the summary.
    void finding(const Finding& finding);

    /// All findings, then the sections.
    std::string text() const;

  private:
    std::string folder_;
    std::string dataset_;
    std::string section_;
    std::string body_;
    std::vector<Cells> findings_;
    int agreeing_ = 0;
};

/// "R@1", "R@5", "R@10", "MdR", "gm".
Cells with_metric_names(Cells before, const Cells& after = {});
/// Their values, as with_metric_names has them.
Cells with_metrics(Cells before, const MethodReport& report,
                   const Cells& after = {});

/// With so many digits after the point.
std::string number(double value, int digits);
/// With commas: "14,828".
std::string count(double value);
/// "+1.2", "-0.3", "0.0"
std::string difference(double value);
/// "R@1 58.4"
std::string recall(const MethodReport& report);

}  // namespace papers
