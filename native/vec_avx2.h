/* Vectors of 8 floats: AVX2 with FMA. See kernels.inc for what a vector header has to offer. */
#include <immintrin.h>

#define TG_LANES 8
#define TG_ACCUMULATORS 12 /* of 16 registers; the others hold weights and operands */

typedef __m256 vf;
typedef __m256i vi;

static inline __m256i tg_mask8(size_t n) {
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
}

static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
static inline vf vf_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, tg_mask8(n)); }
static inline void vf_store_n(float *p, vf a, size_t n) { _mm256_maskstore_ps(p, tg_mask8(n), a); }
static inline vf vf_set1(float x) { return _mm256_set1_ps(x); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vf vf_mac(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
/* The processor returns the second operand where one is a NaN. */
static inline vf vf_below(float limit, vf x) { return _mm256_min_ps(_mm256_set1_ps(limit), x); }
static inline vf vf_above(float limit, vf x) { return _mm256_max_ps(_mm256_set1_ps(limit), x); }
static inline vi vf_bits(vf a) { return _mm256_castps_si256(a); }
static inline vf vi_bits(vi a) { return _mm256_castsi256_ps(a); }
static inline vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vi vi_shl(vi a, int n) { return _mm256_slli_epi32(a, n); }
static inline vi vi_high(vi a) { return _mm256_and_si256(a, _mm256_set1_epi32((int)0xffff0000u)); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vf vi_float(vi a) { return _mm256_cvtepi32_ps(a); }
static inline vi vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
static inline int32_t vi_largest(vi a) {
    int32_t lane[8], most;
    _mm256_storeu_si256((__m256i *)(void *)lane, a);
    most = lane[0];
    for (int i = 1; i < 8; i++) most = lane[i] > most ? lane[i] : most;
    return most;
}
/* The lower halves, as other sets take them: what a NaN became is not in the range of 16 bits. */
static inline void vi_store_halves(int16_t *p, vi a) {
    a = _mm256_srai_epi32(_mm256_slli_epi32(a, 16), 16);
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storeu_si128((__m128i *)(void *)p, halves);
}

/* Sum of 16 lanes, in the order that every set keeps: halves, quarters, pairs. */
static inline float vf_sum16(const vf a[2]) {
    const __m256 half = _mm256_add_ps(a[0], a[1]);
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1)));
}
