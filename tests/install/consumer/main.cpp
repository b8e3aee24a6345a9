// A service that changed one line: its index is wrapped.

#include <faiss/IndexFlat.h>
#include <faiss_qbnorm/IndexQBNorm.h>

#include <cstdio>

int main() {
    faiss::IndexFlatIP base(2);
    const float items[] = {1, 0, 0, 1, 0.9F, 0.9F};
    base.add(3, items);
    faiss_qbnorm::IndexQBNorm index(&base);
    const float bank[] = {1, 1, 1, 0.9F};
    index.set_querybank(2, bank);
    float distance = 0;
    faiss_qbnorm::idx_t label = -1;
    index.search(1, bank, 1, &distance, &label);
    std::printf("label %ld\n", static_cast<long>(label));
    return label >= 0 ? 0 : 1;
}
