// The queues behind CUDA's streams, and who may run next.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host_schedule.h"

namespace qbnorm_host {

/// One cudaEventRecord; its event may be recorded anew, or be gone.
struct Record {
    bool done = false;
    std::chrono::steady_clock::time_point time;
};

/// What a stream is to do.
struct Work {
    std::function<void()> run = {};
    std::shared_ptr<Record> after = {};    // not before this is done
    std::shared_ptr<Record> records = {};  // done with this work
    std::uint64_t number = 0;              // in the order of the calls

    void finish() const {
        if (records) {
            records->done = true;
            records->time = std::chrono::steady_clock::now();
        }
    }
};

}  // namespace qbnorm_host

struct CUstream_st {
    bool blocking;  // takes turns with the null stream
    int device;
    std::deque<qbnorm_host::Work> queue;
};
struct CUevent_st {
    bool timing;
    int device;
    std::shared_ptr<qbnorm_host::Record> record;
};

namespace qbnorm_host {

/// All streams. Runs work only when told to.
class Streams {
  public:
    Random random;

    Streams() { streams_.push_back(std::make_unique<CUstream_st>(true, 0)); }

    /// The null stream: one for all devices.
    CUstream_st* null_stream() { return streams_[0].get(); }
    std::size_t size() const { return streams_.size() - 1; }

    CUstream_st* create(bool blocking, int device) {
        streams_.push_back(std::make_unique<CUstream_st>(blocking, device));
        return streams_.back().get();
    }
    void destroy(CUstream_st* stream) { streams_.erase(find(stream)); }
    bool contains(CUstream_st* stream) {
        return find(stream) != streams_.end();
    }

    void push(CUstream_st* stream, Work work) {
        work.number = ++pushed_;
        stream->queue.push_back(std::move(work));
    }

    /// Runs work at random until done().
    template <typename Done>
    void run_until(Done done) {
        while (!done()) {
            if (!step()) {
                throw std::logic_error("streams: all wait for each other");
            }
        }
    }
    bool idle() const {
        return std::all_of(streams_.begin(), streams_.end(),
                           [](const auto& s) { return s->queue.empty(); });
    }

    /// Runs one piece of work; false if none can run. An error drops all work,
    /// as on a device that has failed.
    bool step() {
        runnable_.clear();
        for (const auto& stream : streams_) {
            if (runnable(*stream)) {
                runnable_.push_back(stream.get());
            }
        }
        if (runnable_.empty()) {
            return false;
        }
        CUstream_st* stream = runnable_[random() % runnable_.size()];
        const Work work = std::move(stream->queue.front());
        stream->queue.pop_front();
        try {
            if (work.run) {
                work.run();
            }
            work.finish();
        } catch (...) {
            drop();
            throw;
        }
        return true;
    }

    void drop() {
        for (const auto& stream : streams_) {
            for (const Work& work : stream->queue) {
                work.finish();  // nobody is to wait for it in vain
            }
            stream->queue.clear();
        }
    }

  private:
    std::vector<std::unique_ptr<CUstream_st>>::iterator find(
        CUstream_st* stream) {
        return std::find_if(
            streams_.begin(), streams_.end(),
            [stream](const auto& s) { return s.get() == stream; });
    }
    bool runnable(const CUstream_st& stream) const {
        if (stream.queue.empty()) {
            return false;
        }
        const Work& work = stream.queue.front();
        if (work.after && !work.after->done) {
            return false;
        }
        // The null stream and the blocking streams keep the order of the calls.
        const auto earlier = [&work](const auto& s) {
            return !s->queue.empty() && s->queue.front().number < work.number;
        };
        if (&stream == streams_[0].get()) {
            return std::none_of(
                streams_.begin() + 1, streams_.end(),
                [&](const auto& s) { return s->blocking && earlier(s); });
        }
        return !stream.blocking || !earlier(streams_[0]);
    }

    std::vector<std::unique_ptr<CUstream_st>> streams_;
    std::vector<CUstream_st*> runnable_;
    std::uint64_t pushed_ = 0;
};

}  // namespace qbnorm_host
