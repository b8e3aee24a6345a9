#include "faiss_qbnorm/faiss/base_scores.h"

#include <faiss/IndexIVFSpectralHash.h>
#include <faiss/IndexLSH.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexReplicas.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/IndexShards.h>

#include <algorithm>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

faiss::IndexPQ::Search_type_t search_type(
    const faiss::IndexPQ& pq, const faiss::SearchParameters* params) {
    const auto* given = dynamic_cast<const faiss::SearchParametersPQ*>(params);
    return given ? given->search_type : pq.search_type;
}

/// The indexes that one hands its queries on to, if it is such a one.
std::vector<const faiss::Index*> parts_of(const faiss::Index& index) {
    std::vector<const faiss::Index*> parts;
    const auto collect = [&](const auto* threaded) {
        for (int i = 0; threaded && i < threaded->count(); i++) {
            parts.push_back(&innermost(*threaded->at(i)));
        }
    };
    collect(dynamic_cast<const faiss::IndexShards*>(&index));
    collect(dynamic_cast<const faiss::IndexReplicas*>(&index));
    return parts;
}

}  // namespace

void require_scores(const faiss::Index& index,
                    const faiss::SearchParameters* params) {
    bool is_hamming = dynamic_cast<const faiss::IndexLSH*>(&index) ||
                      dynamic_cast<const faiss::IndexIVFSpectralHash*>(&index);
    if (const auto* pq = dynamic_cast<const faiss::IndexPQ*>(&index)) {
        const auto type = search_type(*pq, params);
        is_hamming = type == faiss::IndexPQ::ST_HE ||
                     type == faiss::IndexPQ::ST_generalized_HE;
    }
    require(!is_hamming,
            "the base index returns Hamming distances, which cannot be "
            "normalised");
    for (const faiss::Index* part : parts_of(index)) {
        require_scores(*part, params);
    }
}

bool returns_exact_top_k(const faiss::Index& index,
                         const faiss::SearchParameters* params) {
    const std::type_info& type = typeid(index);
    if (type == typeid(faiss::IndexPQ)) {
        return search_type(static_cast<const faiss::IndexPQ&>(index), params) ==
               faiss::IndexPQ::ST_PQ;
    }
    if (type == typeid(faiss::IndexShards) ||
        type == typeid(faiss::IndexReplicas)) {
        const auto parts = parts_of(index);
        return std::all_of(parts.begin(), parts.end(), [&](const auto* part) {
            return returns_exact_top_k(*part, params);
        });
    }
    return flat_vectors(index) || type == typeid(faiss::IndexScalarQuantizer);
}

}  // namespace faiss_qbnorm
