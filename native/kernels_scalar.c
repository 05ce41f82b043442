/* The kernels in plain C, for any processor. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "vec_scalar.h"

/* sums of 16 outputs, which wrap around as those of processors do: steps of four inputs */
static void dots(size_t steps, size_t stride, const int8_t *weights, const int16_t *x, int32_t *sums) {
    for (int j = 0; j < 16; j++) sums[j] = 0;
    for (size_t k = 0; k < steps; k++, weights += stride, x += 4)
        for (int j = 0; j < 16; j++)
            for (int i = 0; i < 4; i++)
                sums[j] = (int32_t)((uint32_t)sums[j] + (uint32_t)(x[i] * weights[4 * j + i]));
}
#define TG_DOTS dots

#define TG_KERNELS tg_kernels_scalar
#define TG_ISA "scalar"
#include "kernels.inc"
