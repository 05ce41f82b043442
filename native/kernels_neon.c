/* The kernels for NEON of AArch64. */
#include <math.h>
#include <stdint.h>

#include "vec_neon.h"

/* sums of 16 outputs: steps of four inputs */
static inline void dots(size_t steps, size_t stride, const int8_t *weights, const int16_t *x, int32_t *sums) {
    int32x4_t sum[4];
    for (int q = 0; q < 4; q++) sum[q] = vdupq_n_s32(0);
    for (size_t k = 0; k < steps; k++, weights += stride, x += 4) {
        const int8x16x4_t four = vld4q_s8(weights); /* input i of 16 outputs */
        for (int i = 0; i < 4; i++) {
            const int16x8_t low = vmovl_s8(vget_low_s8(four.val[i])), high = vmovl_high_s8(four.val[i]);
            sum[0] = vmlal_n_s16(sum[0], vget_low_s16(low), x[i]);
            sum[1] = vmlal_high_n_s16(sum[1], low, x[i]);
            sum[2] = vmlal_n_s16(sum[2], vget_low_s16(high), x[i]);
            sum[3] = vmlal_high_n_s16(sum[3], high, x[i]);
        }
    }
    for (int q = 0; q < 4; q++) vst1q_s32(sums + 4 * q, sum[q]);
}
#define TG_DOTS dots

#define TG_KERNELS tg_kernels_neon
#define TG_ISA "neon"
#include "kernels.inc"
