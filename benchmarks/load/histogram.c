#include "load.h"

/* Values below 2^SUB_BITS have buckets of their own; each doubling above is cut into 2^SUB_BITS / 2
 * buckets, as an HdrHistogram's. */
static size_t bucket_of(uint64_t value) {
    if (value < (1u << TG_SUB_BITS)) return value;
    int shift = 64 - TG_SUB_BITS - __builtin_clzll(value);
    return ((size_t)shift << (TG_SUB_BITS - 1)) + (value >> shift);
}

static uint64_t middle_of(size_t bucket) {
    if (bucket < (1u << TG_SUB_BITS)) return bucket;
    int shift = (int)(bucket >> (TG_SUB_BITS - 1)) - 1;
    uint64_t lowest = (uint64_t)(bucket - ((size_t)shift << (TG_SUB_BITS - 1))) << shift;
    return lowest + (1ull << shift) / 2;
}

void tg_record(struct tg_histogram *histogram, uint64_t ns) {
    histogram->counts[bucket_of(ns)]++;
    histogram->total++;
    if (ns > histogram->largest) histogram->largest = ns;
}

uint64_t tg_percentile(const struct tg_histogram *histogram, double share) {
    if (histogram->total == 0) return 0;
    double exact = share * (double)histogram->total;
    uint64_t wanted = (uint64_t)exact, seen = 0;
    if ((double)wanted < exact || wanted == 0) wanted++;
    for (size_t bucket = 0; bucket < sizeof histogram->counts / sizeof *histogram->counts; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted) {
            uint64_t middle = middle_of(bucket);
            return middle < histogram->largest ? middle : histogram->largest;
        }
    }
    return histogram->largest;
}
