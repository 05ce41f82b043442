/* What one thread of this processor can do at most: the roof over every step (S. Williams, A. Waterman,
 * D. Patterson, "Roofline", 2009). Measured, never looked up: a virtual machine's clock, its neighbours
 * and its power limits are in the figures. Only `tidegate bench` calls these.
 */
#ifndef TIDEGATE_PEAKS_H
#define TIDEGATE_PEAKS_H

#include <stddef.h>

/* Multiply-add rate in operations a second (a multiply-add is two), from chains that stay in registers.
 * isa: "scalar", "avx2", "avx512", "amx" or "neon"; precision: "fp32", "bf16" or "int8".
 * 0 where the processor, or that instruction set, has no such multiply-add. */
double tg_peak(const char *isa, const char *precision);

/* Bytes a second that the widest loads read, again and again, from a buffer of `size` bytes: the
 * bandwidth of the cache that holds so much. 0: out of memory. */
double tg_read_bandwidth(size_t size);

#endif
