/* The kernels for AVX-512 with VNNI and BF16. */
#include <math.h>
#include <stdint.h>

#include "vec_avx512.h"

#define TG_LDEXP _mm512_scalef_ps
#define TG_BYTES
#define TG_VNNI
#define TG_BF16_DOT(sum, pair, weights)                                                                     \
    _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)(pair)), (__m512bh)_mm512_loadu_si512(weights))

#define TG_KERNELS tg_kernels_avx512
#define TG_ISA "avx512"
#include "kernels.inc"
