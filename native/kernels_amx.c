/* The kernels for AMX: AVX-512, with bf16 and int8 products on tile registers. */
#include <math.h>
#include <stdint.h>

#include "vec_avx512.h"

/* Where the tiles' shapes stand for the processor: palette 1, bytes and rows of each tile. */
static inline void tg_tile_configure(size_t rows) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shapes __attribute__((aligned(64))) = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shapes.bytes[t] = 64;
        shapes.rows[t] = t < 6 ? (uint8_t)rows : 16;
    }
    /* GCC 12 takes the instruction to read 8 bytes of the 64, and would leave the other stores out. */
    __asm__ volatile("" : : "r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
}

#ifdef TG_EMULATED_TILES
#define TG_TLS /* the emulated tiles share the module's block, too large for what a process sets aside */
#else
#define TG_TLS __attribute__((tls_model("initial-exec")))
#endif
#define TILE_CONFIGURE(n) tg_tile_configure(n)
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
/* GCC 12 does not take the instruction to read memory: what was stored before has to be there. */
#define TILE_LOAD(t, from, stride) { __asm__ volatile("" : : : "memory"); _tile_loadd(t, from, stride); }
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_DOT_BYTES(c, a, b) _tile_dpbusd(c, a, b)
#define TILE_DOT_BF16(c, a, b) _tile_dpbf16ps(c, a, b)

#define TG_AMX
#define TG_LDEXP _mm512_scalef_ps
#define TG_BYTES
#define TG_VNNI
#define TG_BF16_DOT(sum, pair, weights)                                                                     \
    _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32((int)(pair)), (__m512bh)_mm512_loadu_si512(weights))

#define TG_KERNELS tg_kernels_amx
#define TG_ISA "amx"
#include "kernels.inc"
