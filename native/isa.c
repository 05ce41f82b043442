/* Which instruction set the kernels use. */
#define _GNU_SOURCE /* syscall */
#include <stdatomic.h>
#include <string.h>

#include "kernels.h"

extern const tg_kernels tg_kernels_scalar, tg_kernels_avx2, tg_kernels_avx512, tg_kernels_amx,
    tg_kernels_neon, tg_kernels_amx_emulated;

enum { MOST = 5 };

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel hands out the tile registers on request, once for the process (arch_prctl(2)). */
static int tiles_granted(void) {
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}

static int has_amx(void) {
    unsigned a = 7, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    const unsigned bf16 = d >> 22 & 1u, tile = d >> 24 & 1u, int8 = d >> 25 & 1u;
    return bf16 && tile && int8 && tiles_granted();
}
#endif

/* Fills the list and returns how many sets there are, narrowest first. */
static size_t detect(const tg_kernels **sets) {
    size_t n = 0;
    sets[n++] = &tg_kernels_scalar;
#if defined(__aarch64__)
    sets[n++] = &tg_kernels_neon;
#elif defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets[n++] = &tg_kernels_avx2;
    if (n == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16")) {
        sets[n++] = &tg_kernels_avx512;
        if (has_amx()) sets[n++] = &tg_kernels_amx;
    }
#endif
#ifdef TG_EMULATED_TILES
    /* first, so that it is never the one that is chosen by itself */
    memmove(sets + 1, sets, n++ * sizeof *sets);
    sets[0] = &tg_kernels_amx_emulated;
#endif
    return n;
}

static const tg_kernels *found[MOST + 1];
static const char *names[MOST + 2];
static const tg_kernels *_Atomic active;

const char *const *tg_isas(void) {
    if (!names[0]) {
        const size_t n = detect(found);
        for (size_t i = 0; i < n; i++) names[i] = found[i]->name;
        atomic_store(&active, found[n - 1]);
    }
    return names;
}

const tg_kernels *tg_active(void) { return atomic_load_explicit(&active, memory_order_relaxed); }

int tg_use_isa(const char *name) {
    for (size_t i = 0; tg_isas()[i]; i++)
        if (strcmp(names[i], name) == 0) {
            atomic_store(&active, found[i]);
            return 0;
        }
    return -1;
}
