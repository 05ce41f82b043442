/* The kernels for AVX2 with FMA. */
#include <math.h>
#include <stdint.h>

#include "vec_avx2.h"

/* sums of 16 outputs: steps of four inputs. Four outputs fill a register twice over: each has a sum of its
 * inputs 0 and 1 beside one of its inputs 2 and 3. */
static inline void dots(size_t steps, size_t stride, const int8_t *weights, const int16_t *x, int32_t *sums) {
    __m256i sum[4];
    for (int q = 0; q < 4; q++) sum[q] = _mm256_setzero_si256();
    for (size_t k = 0; k < steps; k++, weights += stride, x += 4) {
        long long four;
        __builtin_memcpy(&four, x, sizeof four);
        const __m256i in = _mm256_set1_epi64x(four);
        for (int q = 0; q < 4; q++) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(weights + 16 * q));
            sum[q] = _mm256_add_epi32(sum[q], _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), in));
        }
    }
    for (int h = 0; h < 2; h++) {
        /* hadd works within halves: outputs 0 1 4 5 | 2 3 6 7 */
        const __m256i pairs = _mm256_hadd_epi32(sum[2 * h], sum[2 * h + 1]);
        _mm256_storeu_si256((__m256i *)(void *)(sums + 8 * h), _mm256_permute4x64_epi64(pairs, 0xd8));
    }
}
#define TG_DOTS dots

#define TG_KERNELS tg_kernels_avx2
#define TG_ISA "avx2"
#include "kernels.inc"
