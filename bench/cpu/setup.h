#pragma once

#include <string>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace bench {

using faiss_qbnorm::idx_t;

/// The sizes of all benchmarks, and what they find on this machine.
struct Setup {
    std::vector<int> probe_dimensions{128, 512, 1024};
    int lists_up_to = 512;  ///< dimensions whose bank lists are timed, too
    idx_t probe_items = 100000;
    idx_t probe_bank = 10000;
    idx_t gemm_slabs = 12;  ///< as many as take a second or so

    idx_t ivf_items = 200000;
    idx_t ivf_lists = 4096;
    idx_t ivf_sample = 65536;
    idx_t ivf_nprobe = 32;
    std::vector<idx_t> ivf_queries{1, 64, 10000};

    idx_t graph_items = 100000;
    idx_t graph_queries = 1000;
    int ef_search = 128;
    idx_t curve_lists = 1024;
    idx_t curve_most_probes = 256;

    idx_t threads_items = 100000;
    idx_t threads_batch = 64;
    idx_t threads_batches = 48;  ///< of all host threads together

    idx_t table_items = 1000000000;
    idx_t candidates = 100000000;  ///< of all lists together
    std::vector<idx_t> list_lengths{10, 100, 1000, 10000};

    idx_t add_items = 100000;
    idx_t add_bank = 10000;
    int add_d = 512;

    idx_t file_items = 1000000;
    idx_t file_bank = 2000;
    int file_d = 256;

    int d = 128;              ///< of benchmarks that name none of their own
    idx_t small_bank = 1000;  ///< where the bank's size does not matter

    std::string scratch = ".";  ///< a folder for files
    std::string qbnorm;         ///< the command line's program

    /// Everything tiny: shows that it runs, its times say nothing.
    static Setup quick();
};

}  // namespace bench
