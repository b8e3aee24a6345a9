// CUDA's built-in vector types for the host, as aligned as on the device.
#pragma once

// The alignment is CUDA's, so that UBSan sees a misaligned vector load.
#define QBNORM_HOST_VECTOR_TYPES(name, type, align2, align4)        \
    struct alignas(align2) name##2 {                                \
        type x, y;                                                  \
    };                                                              \
    struct name##3 {                                                \
        type x, y, z;                                               \
    };                                                              \
    struct alignas(align4) name##4 {                                \
        type x, y, z, w;                                            \
    };                                                              \
    inline name##2 make_##name##2(type x, type y) {                 \
        return {x, y};                                              \
    }                                                               \
    inline name##3 make_##name##3(type x, type y, type z) {         \
        return {x, y, z};                                           \
    }                                                               \
    inline name##4 make_##name##4(type x, type y, type z, type w) { \
        return {x, y, z, w};                                        \
    }

QBNORM_HOST_VECTOR_TYPES(char, signed char, 2, 4)
QBNORM_HOST_VECTOR_TYPES(uchar, unsigned char, 2, 4)
QBNORM_HOST_VECTOR_TYPES(short, short, 4, 8)
QBNORM_HOST_VECTOR_TYPES(ushort, unsigned short, 4, 8)
QBNORM_HOST_VECTOR_TYPES(int, int, 8, 16)
QBNORM_HOST_VECTOR_TYPES(uint, unsigned int, 8, 16)
QBNORM_HOST_VECTOR_TYPES(longlong, long long, 16, 16)
QBNORM_HOST_VECTOR_TYPES(ulonglong, unsigned long long, 16, 16)
QBNORM_HOST_VECTOR_TYPES(float, float, 8, 16)
QBNORM_HOST_VECTOR_TYPES(double, double, 16, 16)

#undef QBNORM_HOST_VECTOR_TYPES

/// The size of a grid or of a block.
struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int x_ = 1, unsigned int y_ = 1,
                   unsigned int z_ = 1)
        : x(x_), y(y_), z(z_) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    constexpr operator uint3() const { return {x, y, z}; }
};
