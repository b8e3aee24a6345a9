// The runtime's streams, events and launches.
#include <algorithm>

#include "host_state.h"

namespace qbnorm_host {
namespace {

// Runs one piece of work; false if none can run. An error drops all work.
bool step() {
    std::vector<CUstream_st*> runnable;
    for (CUstream_st* stream : state().streams) {
        if (stream->queue.empty()) continue;
        const Work& first = stream->queue.front();
        if (!first.after || *first.after) runnable.push_back(stream);
    }
    if (runnable.empty()) return false;
    auto& queue = runnable[state().random() % runnable.size()]->queue;
    const Work work = std::move(queue.front());
    queue.pop_front();
    try {
        if (work.run) work.run();
    } catch (...) {
        drop_work();
        throw;
    }
    if (work.records) *work.records = true;
    return true;
}

}  // namespace

CUstream_st& stream_of(cudaStream_t stream) {
    const auto& streams = state().streams;
    if (std::find(streams.begin(), streams.end(), stream) == streams.end()) {
        throw std::logic_error("not a stream, or destroyed, or the null one");
    }
    return *stream;
}
CUevent_st& event_of(cudaEvent_t event) {
    if (!state().events.contains(event)) {
        throw std::logic_error("not an event, or destroyed");
    }
    return *event;
}

void push(cudaStream_t stream, Work work) {
    stream_of(stream).queue.push_back(std::move(work));
    while (state().random() % 100 < state().eagerness && step()) {
    }
}
void run_until(const std::function<bool()>& done) {
    while (!done()) {
        if (!step()) throw std::logic_error("streams: all wait for each other");
    }
}
void drain() {
    run_until([] {
        const auto& streams = state().streams;
        return std::all_of(streams.begin(), streams.end(),
                           [](auto* stream) { return stream->queue.empty(); });
    });
}
void drop_work() {
    for (CUstream_st* stream : state().streams) {
        for (const Work& work : stream->queue) {
            if (work.records) *work.records = true;  // none waits in vain
        }
        stream->queue.clear();
    }
}

cudaError_t launch(dim3 grid, dim3 block, cudaStream_t stream,
                   std::function<void()> kernel) {
    return call([&] {
        if (grid.x == 0 || grid.y == 0 || grid.y > 65535 || grid.z != 1 ||
            block.y != 1 || block.z != 1) {
            throw std::logic_error("a grid of this shape: not here");
        }
        push(stream, {.run = [grid, block, kernel = std::move(kernel)] {
                 blocks.run(grid, block.x, kernel);
             }});
    });
}

}  // namespace qbnorm_host

using namespace qbnorm_host;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    return call([=] {
        *stream = new CUstream_st;
        state().streams.push_back(*stream);
    });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return release([=] {
        std::erase(state().streams, &stream_of(stream));
        delete stream;
    });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call([=] {
        run_until([&s = stream_of(stream)] { return s.queue.empty(); });
    });
}
cudaError_t cudaDeviceSynchronize() {
    return call([] { drain(); });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned) {
    return call([=] { push(stream, {.after = event_of(event).done}); });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
    return cudaEventCreateWithFlags(event, 0);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    return call([=] {
        *event = new CUevent_st;
        state().events.insert(*event);
    });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return release([=] {
        state().events.erase(&event_of(event));
        delete event;
    });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return call([=] {
        // Who waits for an earlier record goes on waiting for that one.
        event_of(event).done = std::make_shared<bool>(false);
        push(stream, {.records = event->done});
    });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call([=] {
        const auto done = event_of(event).done;
        run_until([&] { return !done || *done; });
    });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start,
                                 cudaEvent_t end) {
    return call([=] {
        event_of(start);
        event_of(end);
        *milliseconds = 1;
    });
}
