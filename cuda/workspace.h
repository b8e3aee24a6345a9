#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "cuda/chunks.h"
#include "cuda/device.h"
#include "cuda/shortlist.h"
#include "cuda/upload.h"

namespace faiss_qbnorm::cuda {

/// A stream, with what a tile of scores on it needs.
struct Lane {
    Stream stream;
    Blas blas{stream};
    DeviceArray<std::byte> scores;
    Event done;
};

/// What a probe keeps of each gallery row.
struct FoldSums {
    DeviceArray<float> largest;
    DeviceArray<double> sums;
    DeviceArray<float> offsets;
    PinnedArray<float> on_host;
};

/// Candidate lists on their way to the device and back.
struct RerankBatch {
    idx_t first = 0;
    idx_t lists = 0;
    PinnedArray<float> scores;
    PinnedArray<idx_t> labels;
    PinnedArray<float> best_scores;
    PinnedArray<idx_t> best_labels;
    PinnedArray<unsigned long long> first_bad;
    DeviceArray<float> device_scores;
    DeviceArray<idx_t> device_labels;
    DeviceArray<float> device_best_scores;
    DeviceArray<idx_t> device_best_labels;
    DeviceArray<unsigned long long> device_first_bad;
    Stream stream;  // last, so that it ends before the rest goes
};

/// What one call works in, kept from call to call: handles and memory are dear.
struct Workspace {
    Lane lanes[2];  ///< tiles take turns, so that one's product runs beside the
                    ///< other's epilogue; all else is on the first
    Event fork;
    Upload upload;
    Shortlist raw;
    Shortlist normalised;
    Columns columns;  ///< a scan's queries
    DeviceArray<float> exact;
    PinnedArray<float> exact_on_host;
    DeviceArray<std::uint32_t> exact_queries;
    DeviceArray<float> row_offsets;
    DeviceArray<idx_t> row_labels;
    Chunk part;  ///< of a bound gallery, as a probe takes it
    ChunkHalves halves;
    FoldSums sums;
    RerankBatch rerank[2];

    Workspace() = default;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    /// Waits: what the streams use goes next.
    ~Workspace();

    const Stream& stream() const { return lanes[0].stream; }
};

/// Workspaces that wait for the next call; as many as calls ran at once.
class WorkspacePool {
  public:
    /// Returns its workspace to the pool, or destroys it where the call that
    /// used it failed: nobody knows what it holds.
    class Lease {
      public:
        Lease(WorkspacePool& pool, std::unique_ptr<Workspace> workspace);
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        /// Says that a call failed whose exception does not end this scope.
        void discard() { discarded_ = true; }
        Workspace* operator->() const { return workspace_.get(); }
        Workspace& operator*() const { return *workspace_; }

      private:
        WorkspacePool& pool_;
        std::unique_ptr<Workspace> workspace_;
        int exceptions_;
        bool discarded_ = false;
    };

    Lease take();
    void clear();

  private:
    std::mutex lock_;
    std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace faiss_qbnorm::cuda
