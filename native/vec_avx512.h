/* Vectors of 16 floats: AVX-512. See kernels.inc for what a vector header has to offer. */
#include <immintrin.h>

#define TG_LANES 16
#define TG_ACCUMULATORS 24 /* of 32 registers; the others hold weights and operands */

typedef __m512 vf;
typedef __m512i vi;

static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
static inline void vf_store_n(float *p, vf a, size_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a); }
static inline vf vf_set1(float x) { return _mm512_set1_ps(x); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
static inline vf vf_mac(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
/* The processor returns the second operand where one is a NaN. */
static inline vf vf_below(float limit, vf x) { return _mm512_min_ps(_mm512_set1_ps(limit), x); }
static inline vf vf_above(float limit, vf x) { return _mm512_max_ps(_mm512_set1_ps(limit), x); }
static inline vi vf_bits(vf a) { return _mm512_castps_si512(a); }
static inline vf vi_bits(vi a) { return _mm512_castsi512_ps(a); }
static inline vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline vi vi_shl(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
static inline vi vi_high(vi a) { return _mm512_and_si512(a, _mm512_set1_epi32((int)0xffff0000u)); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vf vi_float(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
static inline vi vi_sar7(vi a) { return _mm512_srai_epi32(a, 7); }
static inline int32_t vi_largest(vi a) { return _mm512_reduce_max_epi32(a); }
/* 16 bytes, and zeros up to the next multiple of 64 behind them at least */
#define TG_WIDE_STORES
static inline void vi_store_bytes(uint8_t *p, vi a) {
    _mm512_storeu_si512(p, _mm512_zextsi128_si512(_mm512_cvtepi32_epi8(a)));
}

/* Sum of 16 lanes, in the order that every set keeps: halves, quarters, pairs. */
static inline float vf_sum16(const vf a[1]) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a[0]), _mm512_extractf32x8_ps(a[0], 1));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1)));
}
