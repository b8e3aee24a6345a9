#include "bench/cpu/setup.h"

namespace bench {

Setup Setup::quick() {
    Setup setup;
    setup.probe_dimensions = {16, 48};
    setup.lists_up_to = 16;
    setup.probe_items = 5000;
    setup.probe_bank = 700;
    setup.gemm_slabs = 2;
    setup.ivf_items = 4000;
    setup.ivf_lists = 64;
    setup.ivf_sample = 4000;
    setup.ivf_nprobe = 4;
    setup.ivf_queries = {1, 8, 100};
    setup.graph_items = 3000;
    setup.graph_queries = 50;
    setup.ef_search = 128;
    setup.curve_lists = 32;
    setup.curve_most_probes = 32;
    setup.threads_items = 3000;
    setup.threads_batch = 8;
    setup.threads_batches = 16;
    setup.table_items = 1000000;
    setup.candidates = 200000;
    setup.add_items = 3000;
    setup.add_bank = 200;
    setup.add_d = 32;
    setup.file_items = 20000;
    setup.file_bank = 100;
    setup.file_d = 32;
    setup.d = 32;
    setup.small_bank = 100;
    return setup;
}

}  // namespace bench
