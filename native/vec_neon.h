/* Vectors of 4 floats: NEON of AArch64. See kernels.inc for what a vector header has to offer. */
#include <arm_neon.h>
#include <stddef.h>

#define TG_LANES 4
#define TG_ACCUMULATORS 24 /* of 32 registers; the others hold weights and operands */

typedef float32x4_t vf;
typedef int32x4_t vi;

static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf a) { vst1q_f32(p, a); }
static inline vf vf_load_n(const float *p, size_t n) {
    float copy[4] = {0};
    for (size_t i = 0; i < n && i < 4; i++) copy[i] = p[i];
    return vld1q_f32(copy);
}
static inline void vf_store_n(float *p, vf a, size_t n) {
    float copy[4];
    vst1q_f32(copy, a);
    for (size_t i = 0; i < n && i < 4; i++) p[i] = copy[i];
}
static inline vf vf_set1(float x) { return vdupq_n_f32(x); }
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
static inline vf vf_mac(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
/* A NaN operand makes the result one. */
static inline vf vf_below(float limit, vf x) { return vminq_f32(vdupq_n_f32(limit), x); }
static inline vf vf_above(float limit, vf x) { return vmaxq_f32(vdupq_n_f32(limit), x); }
static inline vi vf_bits(vf a) { return vreinterpretq_s32_f32(a); }
static inline vf vi_bits(vi a) { return vreinterpretq_f32_s32(a); }
static inline vi vi_load(const int32_t *p) { return vld1q_s32(p); }
static inline vi vi_shl(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
static inline vi vi_high(vi a) { return vandq_s32(a, vdupq_n_s32((int)0xffff0000u)); }
static inline vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
static inline vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
static inline vf vi_float(vi a) { return vcvtq_f32_s32(a); }
static inline vi vi_set1(int32_t x) { return vdupq_n_s32(x); }
static inline vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
static inline vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
static inline int32_t vi_largest(vi a) { return vmaxvq_s32(a); }
static inline void vi_store_halves(int16_t *p, vi a) { vst1_s16(p, vmovn_s32(a)); }

/* Sum of 16 lanes, in the order that every set keeps: halves, quarters, pairs. */
static inline float vf_sum16(const vf a[4]) {
    const vf low = vaddq_f32(a[0], a[2]), high = vaddq_f32(a[1], a[3]);
    const vf quarter = vaddq_f32(low, high);
    const float32x2_t pair = vadd_f32(vget_low_f32(quarter), vget_high_f32(quarter));
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
}
