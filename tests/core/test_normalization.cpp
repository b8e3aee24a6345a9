// Oracle: the papers' published defaults and the ranges that normalization.h
// documents, spelled out.

#include "faiss_qbnorm/core/normalization.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "faiss_qbnorm/core/error.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

struct Trait {
    Method method;
    const char* name;
    bool offset, gated, dual;
    Method kind;
};

constexpr Trait traits[] = {
    {Method::none, "none", false, false, false, Method::is},
    {Method::is, "is", true, false, false, Method::is},
    {Method::dis, "dis", true, true, false, Method::is},
    {Method::csls, "csls", true, false, false, Method::csls},
    {Method::gc, "gc", false, false, false, Method::gc},
    {Method::nnn, "nnn", true, false, false, Method::nnn},
    {Method::cent, "cent", true, false, false, Method::cent},
    {Method::dbsn, "dbsn", true, false, false, Method::dbsn},
    {Method::dualis, "dualis", true, false, true, Method::is},
    {Method::dualdis, "dualdis", false, true, true, Method::is},
};

TEST(Methods, AreAllThere) {
    std::set<Method> known;
    for (const Trait& trait : traits) known.insert(trait.method);
    const auto all = all_methods();
    EXPECT_EQ(std::set<Method>(all.begin(), all.end()), known);
    EXPECT_EQ(all.size(), std::size(traits));
    EXPECT_EQ(all.front(), Method::none);
}

// Files hold the numbers.
TEST(Methods, HaveNumbersThatNeverChange) {
    std::uint32_t number = 0;
    for (const Trait& trait : traits) {
        EXPECT_EQ(static_cast<std::uint32_t>(trait.method), number++);
    }
}

TEST(Methods, HaveNamesThatReadBack) {
    for (const Trait& trait : traits) {
        EXPECT_EQ(name_of(trait.method), trait.name);
        EXPECT_EQ(method_from_name(trait.name), trait.method);
    }
    for (const char* wrong : {"", "DIS", "dis ", "sinkhorn", "invgc"}) {
        EXPECT_THROW_SAYING(method_from_name(wrong), Error,
                            "unknown method '" + std::string(wrong) +
                                "'; the methods are none, ");
    }
    EXPECT_THROW_SAYING(name_of(static_cast<Method>(10)), Error,
                        "unknown method number 10");
}

TEST(Methods, AreOfTheirKinds) {
    for (const Trait& trait : traits) {
        SCOPED_TRACE(trait.name);
        EXPECT_EQ(has_offset(trait.method), trait.offset);
        EXPECT_EQ(is_gated(trait.method), trait.gated);
        EXPECT_EQ(is_dual(trait.method), trait.dual);
        EXPECT_EQ(column_kind(trait.method), trait.kind);
        EXPECT_EQ(gate_opens(trait.method, true), trait.offset);
        EXPECT_EQ(gate_opens(trait.method, false),
                  trait.offset && trait.method != Method::dis);
    }
}

TEST(Normalization, DefaultsAreAsPublished) {
    for (const Trait& trait : traits) {
        SCOPED_TRACE(trait.name);
        const Normalization n = trait.method;
        EXPECT_EQ(n.method, trait.method);
        EXPECT_EQ(n.beta, trait.method == Method::dbsn ? 100 : 20);
        EXPECT_EQ(n.neighbours, trait.method == Method::nnn ? 128 : 10);
        EXPECT_EQ(n.beta2, 3);
        EXPECT_EQ(n.alpha, 0.75F);
        EXPECT_EQ(n.iterations, 10);
        EXPECT_EQ(n.activation_k, 1);
        EXPECT_NO_THROW(check(n));
        const Normalization given(trait.method, 7, 4);
        EXPECT_EQ(given.beta, 7);
        EXPECT_EQ(given.activation_k, 4);
        EXPECT_EQ(given.neighbours, n.neighbours);
    }
    EXPECT_EQ(Normalization().method, Method::dis);
}

// Sets one field to each end of its range and past it.
template <class T>
void expect_range(T Normalization::*field, const std::vector<T>& good,
                  const std::vector<T>& bad, const char* name) {
    SCOPED_TRACE(name);
    for (const Trait& trait : traits) {
        Normalization n = trait.method;
        for (const T value : good) {
            n.*field = value;
            EXPECT_NO_THROW(check(n)) << value;
        }
        for (const T value : bad) {
            n.*field = value;
            EXPECT_THROW_SAYING(check(n), Error, std::string(name) + " is ");
            EXPECT_THROW_SAYING(check(n), Error, "must be in");
        }
    }
}

TEST(Normalization, ChecksEveryRange) {
    const float inf = INFINITY;
    for (const auto& [field, name] : {std::pair{&Normalization::beta, "beta"},
                                      {&Normalization::beta2, "beta2"}}) {
        expect_range<float>(field, {1e-30F, 1e4F},
                            {0, -1, std::nextafter(1e4F, inf), inf, -inf, NAN},
                            name);
    }
    expect_range<float>(&Normalization::alpha, {0, 100},
                        {-1e-30F, std::nextafter(100.0F, inf), inf, NAN},
                        "alpha");
    const idx_t most = idx_t{1} << 30;
    for (const auto& [field, name] :
         {std::pair{&Normalization::activation_k, "activation_k"},
          {&Normalization::neighbours, "neighbours"}}) {
        expect_range<idx_t>(field, {1, most}, {0, -1, most + 1, idx_t{1} << 62},
                            name);
    }
    expect_range<int>(&Normalization::iterations, {1, 1000}, {0, -1, 1001},
                      "iterations");
    Normalization unknown;
    unknown.method = static_cast<Method>(10);
    EXPECT_THROW_SAYING(check(unknown), Error, "unknown method");
}

TEST(Normalization, IsSaidWithWhatItsMethodHas) {
    const auto said = [](Method method) { return to_string(method); };
    EXPECT_EQ(said(Method::is), "is, beta 20, activation_k 1");
    EXPECT_EQ(said(Method::dis), "dis, beta 20, activation_k 1");
    EXPECT_EQ(said(Method::csls), "csls, neighbours 10");
    EXPECT_EQ(said(Method::nnn), "nnn, neighbours 128, alpha 0.75");
    EXPECT_EQ(said(Method::cent), "cent");
    EXPECT_EQ(said(Method::gc), "gc");
    EXPECT_EQ(said(Method::dbsn), "dbsn, beta 100, iterations 10");
    EXPECT_EQ(said(Method::dualis), "dualis, beta 20, beta2 3, activation_k 1");
    EXPECT_EQ(said(Method::dualdis),
              "dualdis, beta 20, beta2 3, activation_k 1");
}

// What a method's columns are made with, and nothing else, tells fits apart.
TEST(Normalization, SameFitComparesWhatAMethodHas) {
    struct Used {
        Method method;
        bool beta, beta2, activation_k, neighbours, alpha, iterations;
    };
    constexpr Used table[] = {
        {Method::none, true, false, true, false, false, false},
        {Method::is, true, false, true, false, false, false},
        {Method::dis, true, false, true, false, false, false},
        {Method::csls, false, false, false, true, false, false},
        {Method::gc, false, false, false, false, false, false},
        {Method::nnn, false, false, false, true, true, false},
        {Method::cent, false, false, false, false, false, false},
        {Method::dbsn, true, false, false, false, false, true},
        {Method::dualis, true, true, true, false, false, false},
        {Method::dualdis, true, true, true, false, false, false},
    };
    for (const Used& used : table) {
        SCOPED_TRACE(name_of(used.method));
        const Normalization n = used.method;
        const auto differs = [&](auto field, auto value) {
            Normalization other = n;
            other.*field = value;
            return !same_fit(n, other) && !same_fit(other, n);
        };
        EXPECT_TRUE(same_fit(n, n));
        EXPECT_EQ(differs(&Normalization::beta, 7.0F), used.beta);
        EXPECT_EQ(differs(&Normalization::beta2, 7.0F), used.beta2);
        EXPECT_EQ(differs(&Normalization::activation_k, 7), used.activation_k);
        EXPECT_EQ(differs(&Normalization::neighbours, 7), used.neighbours);
        EXPECT_EQ(differs(&Normalization::alpha, 7.0F), used.alpha);
        EXPECT_EQ(differs(&Normalization::iterations, 7), used.iterations);
        for (const Trait& trait : traits) {
            EXPECT_EQ(same_fit(n, trait.method),
                      column_kind(used.method) == trait.kind)
                << trait.name;
        }
    }
    // beta2 does not matter to is, of a table that has it.
    Normalization dual = Method::dualis;
    dual.beta2 = 50;
    EXPECT_TRUE(same_fit(Method::is, dual));
}

}  // namespace
