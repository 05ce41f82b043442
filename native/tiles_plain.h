/* The tile instructions of AMX in plain C, row by row as their manual gives them. */
#include <stdint.h>
#include <string.h>

static _Thread_local struct {
    size_t rows; /* of sums and sessions; weights have 16 */
    uint8_t tile[8][16][64];
} tg_tiles;

static size_t tg_tile_rows(int t) { return t < 6 ? tg_tiles.rows : 16; }

static void tg_tile_load(int t, const void *from, size_t stride) {
    for (size_t r = 0; r < tg_tile_rows(t); r++)
        memcpy(tg_tiles.tile[t][r], (const uint8_t *)from + r * stride, 64);
}

static void tg_tile_store(int t, void *to, size_t stride) {
    for (size_t r = 0; r < tg_tile_rows(t); r++) memcpy((uint8_t *)to + r * stride, tg_tiles.tile[t][r], 64);
}

static void tg_tile_dot_bytes(int c, int a, int b) {
    for (size_t m = 0; m < tg_tiles.rows; m++)
        for (size_t n = 0; n < 16; n++) {
            uint32_t sum;
            memcpy(&sum, &tg_tiles.tile[c][m][4 * n], sizeof sum);
            for (size_t k = 0; k < 16; k++)
                for (size_t i = 0; i < 4; i++)
                    sum += (uint32_t)(tg_tiles.tile[a][m][4 * k + i] * (int8_t)tg_tiles.tile[b][k][4 * n + i]);
            memcpy(&tg_tiles.tile[c][m][4 * n], &sum, sizeof sum);
        }
}

static float tg_bf16_at(const uint8_t *at) {
    uint16_t half;
    memcpy(&half, at, sizeof half);
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Even and odd inputs have sums of their own, which meet at the end. */
static void tg_tile_dot_bf16(int c, int a, int b) {
    for (size_t m = 0; m < tg_tiles.rows; m++)
        for (size_t n = 0; n < 16; n++) {
            float part[2] = {0.0f, 0.0f}, sum;
            for (size_t k = 0; k < 16; k++)
                for (size_t i = 0; i < 2; i++)
                    part[i] += tg_bf16_at(&tg_tiles.tile[a][m][4 * k + 2 * i]) *
                               tg_bf16_at(&tg_tiles.tile[b][k][4 * n + 2 * i]);
            memcpy(&sum, &tg_tiles.tile[c][m][4 * n], sizeof sum);
            sum += part[0] + part[1];
            memcpy(&tg_tiles.tile[c][m][4 * n], &sum, sizeof sum);
        }
}

#define TG_TLS
#define TILE_CONFIGURE(n) (memset(tg_tiles.tile, 0, sizeof tg_tiles.tile), tg_tiles.rows = (n))
#define TILE_RELEASE() ((void)0)
#define TILE_ZERO(t) memset(tg_tiles.tile[t], 0, sizeof tg_tiles.tile[t])
#define TILE_LOAD(t, from, stride) tg_tile_load(t, from, stride)
#define TILE_STORE(t, to, stride) tg_tile_store(t, to, stride)
#define TILE_DOT_BYTES(c, a, b) tg_tile_dot_bytes(c, a, b)
#define TILE_DOT_BF16(c, a, b) tg_tile_dot_bf16(c, a, b)
