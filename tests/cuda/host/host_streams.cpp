// The runtime's streams, events and launches.
#include "host_streams.h"

#include "host_state.h"

namespace qbnorm_host {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::logic_error(what);
}

cudaError_t create_stream(cudaStream_t* stream, unsigned flags) {
    if (stream == nullptr || flags > cudaStreamNonBlocking) {
        return cudaErrorInvalidValue;
    }
    *stream = runtime().streams.create(flags != cudaStreamNonBlocking,
                                       current_device);
    return cudaSuccess;
}

cudaError_t create_event(cudaEvent_t* event, unsigned flags) {
    if (event == nullptr) {
        return cudaErrorInvalidValue;
    }
    *event = new CUevent_st{(flags & cudaEventDisableTiming) == 0,
                            current_device, nullptr};
    runtime().events.push_back(*event);
    return cudaSuccess;
}

}  // namespace

CUstream_st* stream_of(cudaStream_t stream) {
    Streams& streams = runtime().streams;
    if (stream == nullptr || stream == cudaStreamLegacy) {
        return streams.null_stream();
    }
    if (!streams.contains(stream)) {
        fail("not a stream, or destroyed");
    }
    return stream;
}
CUevent_st* event_of(cudaEvent_t event) {
    const auto& events = runtime().events;
    if (std::find(events.begin(), events.end(), event) == events.end()) {
        fail("not an event, or destroyed");
    }
    return event;
}

void push(cudaStream_t stream, Work work) {
    Runtime& r = runtime();
    r.streams.push(stream_of(stream), std::move(work));
    while (r.streams.random() % 100 < r.eagerness && r.streams.step()) {
    }
}

void synchronize(cudaStream_t stream) {
    CUstream_st* s = stream_of(stream);
    runtime().streams.run_until([s] { return s->queue.empty(); });
}

void drain() {
    runtime().streams.run_until([] { return runtime().streams.idle(); });
}
void enqueue(cudaStream_t stream, std::function<void()> work) {
    push(stream, {.run = std::move(work)});
}

cudaError_t launch(const cudaLaunchConfig_t& config,
                   std::function<void()> kernel) {
    return call([&] {
        const dim3 grid = config.gridDim;
        const dim3 block = config.blockDim;
        const std::uint64_t threads = std::uint64_t(block.x) * block.y *
                                      std::min(block.z, kMaxThreads + 1);
        if (grid.x == 0 || grid.y == 0 || grid.z == 0 || threads == 0 ||
            grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 ||
            block.x > 1024 || block.y > 1024 || block.z > 64 ||
            threads > kMaxThreads) {
            return cudaErrorInvalidConfiguration;
        }
        if (config.dynamicSmemBytes != 0 || config.numAttrs != 0) {
            fail("a launch with dynamic shared memory or with attributes");
        }
        if (threads % kWarpSize != 0) {
            fail("a launch with a block that is not whole warps");
        }
        CUstream_st* stream = stream_of(config.stream);
        if (stream != runtime().streams.null_stream() &&
            stream->device != current_device) {
            return cudaErrorInvalidResourceHandle;
        }
        push(config.stream, {.run = [grid, block, kernel = std::move(kernel)] {
                 blocks.run(grid, block, kernel);
             }});
        return cudaSuccess;
    });
}

}  // namespace qbnorm_host

using namespace qbnorm_host;

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    return call([=] { return create_stream(stream, cudaStreamDefault); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream,
                                      unsigned int flags) {
    return call([=] { return create_stream(stream, flags); });
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return release([=] {
        if (stream == nullptr) {
            fail("the null stream destroyed");
        }
        release([] { drain(); });
        runtime().streams.destroy(stream_of(stream));
    });
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call([=] {
        synchronize(stream);
        return cudaSuccess;
    });
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return call([=] {
        CUstream_st* s = stream_of(stream);
        if (!s->queue.empty()) {
            runtime().streams.step();  // so that asking again has an end
        }
        return s->queue.empty() ? cudaSuccess : cudaErrorNotReady;
    });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned int) {
    return call([=] {
        push(stream, {.run = nullptr, .after = event_of(event)->record});
        return cudaSuccess;
    });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
    return call([=] { return create_event(event, flags); });
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return release([=] {
        auto& events = runtime().events;
        events.erase(std::find(events.begin(), events.end(), event_of(event)));
        delete event;
    });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return call([=] {
        const CUstream_st* s = stream_of(stream);
        if (stream != nullptr && s->device != event_of(event)->device) {
            return cudaErrorInvalidResourceHandle;
        }
        event_of(event)->record = std::make_shared<Record>();
        push(stream,
             {.run = nullptr, .after = nullptr, .records = event->record});
        return cudaSuccess;
    });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call([=] {
        if (const auto record = event_of(event)->record) {
            runtime().streams.run_until([&] { return record->done; });
        }
        return cudaSuccess;
    });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    return call([=] {
        const auto record = event_of(event)->record;
        if (record && !record->done) {
            runtime().streams.step();
        }
        return !record || record->done ? cudaSuccess : cudaErrorNotReady;
    });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start,
                                 cudaEvent_t end) {
    return call([=] {
        const auto a = event_of(start)->record;
        const auto b = event_of(end)->record;
        if (!start->timing || !end->timing || !a || !b) {
            return cudaErrorInvalidResourceHandle;
        }
        if (!a->done || !b->done) {
            return cudaErrorNotReady;
        }
        *milliseconds =
            std::chrono::duration<float, std::milli>(b->time - a->time).count();
        return cudaSuccess;
    });
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int) {
    return call([=] {
        return kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
    });
}
