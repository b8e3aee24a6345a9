// CUDA's errors: X(name, number, CUDA's sentence).
#pragma once

// clang-format off
#define QBNORM_HOST_ERRORS(X)                                                  \
    X(cudaSuccess, 0, "no error")                                              \
    X(cudaErrorInvalidValue, 1, "invalid argument")                            \
    X(cudaErrorMemoryAllocation, 2, "out of memory")                           \
    X(cudaErrorInitializationError, 3, "initialization error")                 \
    X(cudaErrorCudartUnloading, 4, "driver shutting down")                     \
    X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")      \
    X(cudaErrorInvalidPitchValue, 12, "invalid pitch argument")                \
    X(cudaErrorInvalidSymbol, 13, "invalid device symbol")                     \
    X(cudaErrorInvalidDevicePointer, 17, "invalid device pointer")             \
    X(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy") \
    X(cudaErrorStubLibrary, 34, "CUDA driver is a stub library")               \
    X(cudaErrorInsufficientDriver, 35,                                         \
      "CUDA driver version is insufficient for CUDA runtime version")          \
    X(cudaErrorDevicesUnavailable, 46,                                         \
      "CUDA-capable device(s) is/are busy or unavailable")                     \
    X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")           \
    X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")            \
    X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                   \
    X(cudaErrorStartupFailure, 127, "startup failure in cuda runtime")         \
    X(cudaErrorInvalidKernelImage, 200, "device kernel image is invalid")      \
    X(cudaErrorDeviceUninitialized, 201, "invalid device context")             \
    X(cudaErrorNoKernelImageForDevice, 209,                                    \
      "no kernel image is available for execution on the device")              \
    X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")   \
    X(cudaErrorInvalidPtx, 218, "a PTX JIT compilation failed")                \
    X(cudaErrorUnsupportedPtxVersion, 222,                                     \
      "the provided PTX was compiled with an unsupported toolchain.")          \
    X(cudaErrorOperatingSystem, 304,                                           \
      "OS call failed or operation not supported on this OS")                  \
    X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")          \
    X(cudaErrorIllegalState, 401,                                              \
      "the operation cannot be performed in the present state")                \
    X(cudaErrorNotReady, 600, "device not ready")                              \
    X(cudaErrorIllegalAddress, 700,                                            \
      "an illegal memory access was encountered")                              \
    X(cudaErrorLaunchOutOfResources, 701,                                      \
      "too many resources requested for launch")                               \
    X(cudaErrorLaunchTimeout, 702,                                             \
      "the launch timed out and was terminated")                               \
    X(cudaErrorContextIsDestroyed, 709, "context is destroyed")                \
    X(cudaErrorAssert, 710, "device-side assert triggered")                    \
    X(cudaErrorHardwareStackError, 714, "hardware stack error")                \
    X(cudaErrorIllegalInstruction, 715,                                        \
      "an illegal instruction was encountered")                                \
    X(cudaErrorMisalignedAddress, 716, "misaligned address")                   \
    X(cudaErrorInvalidAddressSpace, 717,                                       \
      "operation not supported on global/shared address space")                \
    X(cudaErrorInvalidPc, 718, "invalid program counter")                      \
    X(cudaErrorLaunchFailure, 719, "unspecified launch failure")               \
    X(cudaErrorNotPermitted, 800, "operation not permitted")                   \
    X(cudaErrorNotSupported, 801, "operation not supported")                   \
    X(cudaErrorSystemNotReady, 802, "system not yet initialized")              \
    X(cudaErrorSystemDriverMismatch, 803,                                      \
      "system has unsupported display driver / cuda driver combination")       \
    X(cudaErrorUnknown, 999, "unknown error")
// clang-format on
