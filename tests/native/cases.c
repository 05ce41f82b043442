#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

void fail(const char *what) {
    fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

/* -- Memory ------------------------------------------------------------------------------------------- */

static void **kept;
static size_t n_kept;

static void *keep(void *made) {
    kept = realloc(kept, (n_kept + 1) * sizeof *kept);
    if (!made || !kept) fail("out of memory");
    return kept[n_kept++] = made;
}

void *room(size_t bytes) {
    return keep(aligned_alloc(TG_ALIGNMENT, (bytes + TG_ALIGNMENT - 1) / TG_ALIGNMENT * TG_ALIGNMENT));
}

void *exact(size_t bytes) { return keep(malloc(bytes ? bytes : 1)); }

void forget_all(void) {
    while (n_kept) free(kept[--n_kept]);
    free(kept);
    kept = NULL;
}

/* -- The file ----------------------------------------------------------------------------------------- */

static FILE *file;

static void take(void *to, size_t bytes) {
    if (bytes && fread(to, bytes, 1, file) != 1) fail("the file ends too early");
}

void open_cases(const char *path) {
    file = fopen(path, "rb");
    if (!file || number() != UINT64_C(0x3379616c706572)) fail("this is no file of cases"); /* "replay3" */
}

void close_cases(void) { fclose(file); }

uint64_t number(void) {
    uint64_t value;
    take(&value, sizeof value);
    return value;
}

void *array(size_t *bytes, size_t behind) {
    const size_t length = (size_t)number();
    uint8_t *made = behind ? room(length + behind) : exact(length);
    take(made, length);
    memset(made + length, 0, behind);
    if (bytes) *bytes = length;
    return made;
}

const void *optional(void) {
    size_t bytes;
    const void *made = array(&bytes, 0);
    return bytes ? made : NULL;
}

/* -- Comparison --------------------------------------------------------------------------------------- */

double difference(size_t n, const float *x, const float *y) {
    double worst = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(x + i, y + i, sizeof *x) == 0 || (isnan(x[i]) && isnan(y[i]))) continue;
        double off = fabs((double)x[i] - y[i]) / fmax(1.0, fabs((double)y[i]));
        if (off == 0.0) off = 1e-300; /* 0 and -0 are other bits */
        worst = !(off <= worst) ? (isnan(off) ? INFINITY : off) : worst;
    }
    return worst;
}

bool is_plain(const char *set) { return strcmp(set, "scalar") == 0 || strcmp(set, "amx-emulated") == 0; }
