#define _GNU_SOURCE /* clock_gettime, syscall */
#include "peaks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { ROUNDS = 5, CHAINS = 12 };
static const double LONG_ENOUGH = 1e-3; /* seconds: a thousand times what reading the clock costs */

#if defined(__x86_64__)
#define REGISTER "x"
#else
#define REGISTER "w"
#endif
/* The compiler must neither know an operand (it would compute once, outside the loop) nor drop a sum. */
#define HIDE(value) __asm__ volatile("" : "+" REGISTER(value))

typedef float vec4 __attribute__((vector_size(16)));
typedef void body(size_t turns);

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 12 independent chains: more than latency times issue width of every unit known (4 cycles x 2 for FMA,
 * 5 x 2 for VNNI), and few enough for 16 registers. */
#define CHAIN_BODY(NAME, TARGET, VECTOR, FIRST, SECOND, NEXT)                                           \
    TARGET static void NAME(size_t turns) {                                                             \
        VECTOR a = FIRST, b = SECOND, c[CHAINS];                                                        \
        for (int k = 0; k < CHAINS; k++) c[k] = a;                                                      \
        while (turns--) {                                                                               \
            for (int k = 0; k < CHAINS; k++) {                                                          \
                HIDE(a);                                                                                \
                c[k] = NEXT;                                                                            \
            }                                                                                           \
        }                                                                                               \
        for (int k = 0; k < CHAINS; k++) HIDE(c[k]);                                                    \
    }

#define PLAIN
/* What plain C compiles to everywhere: four lanes, a product, then a sum. */
CHAIN_BODY(scalar_fp32, PLAIN, vec4, ((vec4){1, 1, 1, 1}), ((vec4){1, 1, 1, 1}), c[k] + a * b)

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f")))
#define VNNI __attribute__((target("avx512f,avx512vnni")))
#define BF16 __attribute__((target("avx512f,avx512bf16")))
#define AMX __attribute__((target("amx-tile,amx-int8,amx-bf16")))

CHAIN_BODY(avx2_fp32, AVX2, __m256, _mm256_set1_ps(1), _mm256_set1_ps(1), _mm256_fmadd_ps(a, b, c[k]))
CHAIN_BODY(avx2_int8, AVX2, __m256i, _mm256_set1_epi8(1), _mm256_set1_epi16(1),
           _mm256_add_epi32(c[k], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), b)))
CHAIN_BODY(avx512_fp32, AVX512, __m512, _mm512_set1_ps(1), _mm512_set1_ps(1),
           _mm512_fmadd_ps(a, b, c[k]))
CHAIN_BODY(avx512_int8, VNNI, __m512i, _mm512_set1_epi8(1), _mm512_set1_epi8(1),
           _mm512_dpbusd_epi32(c[k], a, b))
CHAIN_BODY(avx512_bf16, BF16, __m512, _mm512_set1_ps(1), _mm512_set1_ps(1),
           _mm512_dpbf16_ps(c[k], (__m512bh)a, (__m512bh)b))

/* Tiles of 16 rows x 64 bytes; four sums, so that one tile's latency hides behind the others. */
#define AMX_BODY(NAME, PRODUCT)                                                                         \
    AMX static void NAME(size_t turns) {                                                                \
        struct {                                                                                        \
            uint8_t palette, start_row, reserved[14];                                                   \
            uint16_t row_bytes[16];                                                                     \
            uint8_t rows[16];                                                                           \
        } shape = {.palette = 1};                                                                       \
        for (int tile = 0; tile < 8; tile++) shape.row_bytes[tile] = 64, shape.rows[tile] = 16;         \
        /* GCC believes that only 8 bytes of the shape are read, and would drop the rest. */            \
        __asm__ volatile("" : : "r"(&shape) : "memory");                                                \
        _tile_loadconfig(&shape);                                                                       \
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);                                     \
        _tile_zero(4); _tile_zero(5); _tile_zero(6); _tile_zero(7);                                     \
        while (turns--) {                                                                               \
            PRODUCT(0, 4, 6); PRODUCT(1, 4, 7); PRODUCT(2, 5, 6); PRODUCT(3, 5, 7);                     \
        }                                                                                               \
        _tile_release();                                                                                \
    }
AMX_BODY(amx_int8, _tile_dpbusd)
AMX_BODY(amx_bf16, _tile_dpbf16ps)

static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void) { return __builtin_cpu_supports("avx512f"); }
static int has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
static int has_bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
static int has_tiles(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* Linux gives a process tiles only when it asks */
    return __builtin_cpu_supports("amx-tile") && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}
static int has_tiles_int8(void) { return __builtin_cpu_supports("amx-int8") && has_tiles(); }
static int has_tiles_bf16(void) { return __builtin_cpu_supports("amx-bf16") && has_tiles(); }
#elif defined(__aarch64__)
CHAIN_BODY(neon_fp32, PLAIN, float32x4_t, vdupq_n_f32(1), vdupq_n_f32(1), vfmaq_f32(c[k], a, b))
#endif

static int always(void) { return 1; }

static const struct {
    const char *isa, *precision;
    int (*here)(void);
    body *run;
    double ops; /* of one turn */
} PEAKS[] = {
    {"scalar", "fp32", always, scalar_fp32, CHAINS * 4 * 2},
#if defined(__x86_64__)
    {"avx2", "fp32", has_avx2, avx2_fp32, CHAINS * 8 * 2},
    {"avx2", "int8", has_avx2, avx2_int8, CHAINS * 32 * 2},
    {"avx512", "fp32", has_avx512, avx512_fp32, CHAINS * 16 * 2},
    {"avx512", "int8", has_vnni, avx512_int8, CHAINS * 64 * 2},
    {"avx512", "bf16", has_bf16, avx512_bf16, CHAINS * 32 * 2},
    {"amx", "int8", has_tiles_int8, amx_int8, 4 * 16 * 16 * 64 * 2},
    {"amx", "bf16", has_tiles_bf16, amx_bf16, 4 * 16 * 16 * 32 * 2},
#elif defined(__aarch64__)
    {"neon", "fp32", always, neon_fp32, CHAINS * 4 * 2},
#endif
};

double tg_peak(const char *isa, const char *precision) {
    for (size_t i = 0; i < sizeof PEAKS / sizeof *PEAKS; i++) {
        if (strcmp(PEAKS[i].isa, isa) || strcmp(PEAKS[i].precision, precision)) continue;
        if (!PEAKS[i].here()) return 0;
        double best = 0;
        size_t turns = 1024;
        for (int round = 0; round < ROUNDS;) {
            const double began = now();
            PEAKS[i].run(turns);
            const double took = now() - began;
            if (took < LONG_ENOUGH) {
                turns *= 2;
                continue;
            }
            const double rate = PEAKS[i].ops * (double)turns / took;
            if (rate > best) best = rate;
            round++;
        }
        return best;
    }
    return 0;
}

enum { LANES = 8, STRIDE = LANES * 64 }; /* bytes that one turn of a reading loop takes */

#define READ_BODY(NAME, TARGET, VECTOR, LOADS)                                                          \
    TARGET static void NAME(const char *from, size_t size) {                                            \
        VECTOR sum[LANES] = {0};                                                                        \
        for (const char *at = from; at < from + size; at += LOADS * sizeof(VECTOR)) {                   \
            for (int k = 0; k < LOADS; k++)                                                             \
                sum[k] += ((const VECTOR *)at)[k];                                                      \
        }                                                                                               \
        for (int k = 0; k < LOADS; k++) HIDE(sum[k]);                                                   \
    }
typedef uint32_t ints4 __attribute__((vector_size(16), may_alias));
READ_BODY(read_plain, PLAIN, ints4, LANES)
#if defined(__x86_64__)
typedef uint32_t ints8 __attribute__((vector_size(32), may_alias));
typedef uint32_t ints16 __attribute__((vector_size(64), may_alias));
READ_BODY(read_avx2, AVX2, ints8, LANES)
READ_BODY(read_avx512, AVX512, ints16, LANES)
#endif

double tg_read_bandwidth(size_t size) {
    void (*read)(const char *, size_t) = read_plain;
#if defined(__x86_64__)
    if (has_avx2()) read = read_avx2;
    if (has_avx512()) read = read_avx512;
#endif
    size = (size + STRIDE - 1) / STRIDE * STRIDE;
    char *buffer = aligned_alloc(64, size);
    if (!buffer) return 0;
    memset(buffer, 1, size);
    double best = 0;
    size_t passes = 1;
    for (int round = 0; round < ROUNDS;) {
        const double began = now();
        for (size_t i = 0; i < passes; i++) read(buffer, size);
        const double took = now() - began;
        if (took < LONG_ENOUGH) {
            passes *= 2;
            continue;
        }
        const double rate = (double)size * (double)passes / took;
        if (rate > best) best = rate;
        round++;
    }
    free(buffer);
    return best;
}
