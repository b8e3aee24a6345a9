#pragma once

#include "bench/papers/banks.h"
#include "bench/papers/report.h"
#include "bench/papers/scene.h"

/// The experiments, one file each, numbered as in Bogolin et al. (CVPR 2022).
/// Each writes its section, findings last.

namespace papers {

/// What every section is given.
struct Context {
    const Dataset& dataset;
    const Scene& scene;
    Report& report;
};

/// Every method with the whole querybank.
struct WholeBank {
    std::vector<MethodReport> reports;

    explicit WholeBank(const Scene& scene);
    /// Throws where the method was not measured (without a gallerybank those
    /// that need one).
    const MethodReport& of(Method method) const;
};

void table_1(const Context& context, const WholeBank& whole);
void table_2(const Context& context, const WholeBank& whole,
             const std::vector<NamedBank>& banks);
void table_3(const Context& context, const WholeBank& whole);
void figure_3(const Context& context, const WholeBank& whole);
void figure_4(const Context& context);
void figure_5(const Context& context, const WholeBank& whole);
void table_15(const Context& context, const std::vector<NamedBank>& banks);
void table_17(const Context& context, const WholeBank& whole);
/// Where there is a gallerybank: the bank of the reverse direction.
void table_18(const Context& context);
/// Wang et al. 2023; where there is a gallerybank.
void dual_banks(const Context& context, const WholeBank& whole);

}  // namespace papers
