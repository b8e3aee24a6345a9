#include "cuda/workspace.h"

#include <exception>

namespace faiss_qbnorm::cuda {

Workspace::~Workspace() {
    for (const Lane& lane : lanes) cudaStreamSynchronize(lane.stream);
}

WorkspacePool::Lease::Lease(WorkspacePool& pool,
                            std::unique_ptr<Workspace> workspace)
    : pool_(pool),
      workspace_(std::move(workspace)),
      exceptions_(std::uncaught_exceptions()) {}

WorkspacePool::Lease::~Lease() {
    if (discarded_ || std::uncaught_exceptions() > exceptions_) return;
    const std::lock_guard guard(pool_.lock_);
    pool_.idle_.push_back(std::move(workspace_));
}

void WorkspacePool::clear() {
    const std::lock_guard guard(lock_);
    idle_.clear();
}

WorkspacePool::Lease WorkspacePool::take() {
    {
        const std::lock_guard guard(lock_);
        if (!idle_.empty()) {
            auto workspace = std::move(idle_.back());
            idle_.pop_back();
            return {*this, std::move(workspace)};
        }
    }
    return {*this, std::make_unique<Workspace>()};
}

}  // namespace faiss_qbnorm::cuda
