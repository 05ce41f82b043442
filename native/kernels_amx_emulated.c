/* The tiling of AMX with its instructions in plain C, for tests on machines without. */
#include <math.h>
#include <stdint.h>

#include "tiles_plain.h"
#include "vec_scalar.h"

/* sums of 16 outputs, which wrap around as those of processors do: steps of four inputs, which are bytes */
static void dots(size_t steps, size_t stride, const int8_t *weights, const uint8_t *x, int32_t *sums) {
    for (int j = 0; j < 16; j++) sums[j] = 0;
    for (size_t k = 0; k < steps; k++, weights += stride, x += 4)
        for (int j = 0; j < 16; j++)
            for (int i = 0; i < 4; i++)
                sums[j] = (int32_t)((uint32_t)sums[j] + (uint32_t)(x[i] * weights[4 * j + i]));
}
#define TG_DOTS dots
#define TG_AMX
#define TG_BYTES

#define TG_KERNELS tg_kernels_amx_emulated
#define TG_ISA "amx-emulated"
#include "kernels.inc"
