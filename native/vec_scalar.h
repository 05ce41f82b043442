/* Vectors of one float: plain C. See kernels.inc for what a vector header has to offer. */
#include <math.h>

#define TG_LANES 1
#define TG_ACCUMULATORS 16 /* one session and panel at a time: the compiler makes of it what it can */

typedef float vf;
typedef int32_t vi;

static inline vf vf_load(const float *p) { return *p; }
static inline void vf_store(float *p, vf a) { *p = a; }
static inline vf vf_load_n(const float *p, size_t n) { return n ? *p : 0.0f; }
static inline void vf_store_n(float *p, vf a, size_t n) {
    if (n) *p = a;
}
static inline vf vf_set1(float x) { return x; }
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_fma(vf a, vf b, vf c) { return fmaf(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return fmaf(-a, b, c); }
/* A processor without FMA rounds twice in the long sums of a product; fmaf would cost it tenfold. */
static inline vf vf_mac(vf a, vf b, vf c) { return a * b + c; }
/* A comparison with a NaN is false. */
static inline vf vf_below(float limit, vf x) { return x > limit ? limit : x; }
static inline vf vf_above(float limit, vf x) { return x < limit ? limit : x; }
static inline vi vf_bits(vf a) {
    vi bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline vf vi_bits(vi a) {
    vf value;
    memcpy(&value, &a, sizeof value);
    return value;
}
static inline vi vi_load(const int32_t *p) { return *p; }
static inline vi vi_shl(vi a, int n) { return (vi)((uint32_t)a << n); }
static inline vi vi_high(vi a) { return (vi)((uint32_t)a & 0xffff0000u); }
static inline vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
static inline vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
static inline vf vi_float(vi a) { return (vf)a; }
static inline vi vi_set1(int32_t x) { return x; }
static inline vi vi_and(vi a, vi b) { return a & b; }
static inline vi vi_max(vi a, vi b) { return a > b ? a : b; }
static inline vi vi_sar7(vi a) { return a < 0 ? -((-a + 127) / 128) : a / 128; }
static inline int32_t vi_largest(vi a) { return a; }
static inline void vi_store_bytes(uint8_t *p, vi a) { *p = (uint8_t)a; }
static inline void vi_store_halves(int16_t *p, vi a) { *p = (int16_t)a; }

/* Sum of 16 lanes, in the order that every set keeps: halves, quarters, pairs. */
static inline float vf_sum16(const vf a[16]) {
    float half[8], quarter[4];
    for (int i = 0; i < 8; i++) half[i] = a[i] + a[i + 8];
    for (int i = 0; i < 4; i++) quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}
