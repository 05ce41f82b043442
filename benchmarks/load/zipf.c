/* Sessions by Zipf's law: of n sessions the k-th most active has a share proportional to 1 / k^s.
 *
 * Rejection-inversion (W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6(3), 1996): exact, without a table, and a draw costs
 * the same for any n. With h(x) = x^-s and its integral H, a uniform number between H(3/2) - 1 and
 * H(n + 1/2) is mapped back through H; a rank takes the part of its interval that is as long as h(k).
 */
#include "load.h"

#include <math.h>

static double exponent, from, to, surely;
static uint32_t step;

/* log(1 + x) / x and (exp(x) - 1) / x, also where x is next to 0: s = 1 is no special case. */
static double log_ratio(double x) { return fabs(x) > 1e-8 ? log1p(x) / x : 1.0 - x / 2.0; }
static double exp_ratio(double x) { return fabs(x) > 1e-8 ? expm1(x) / x : 1.0 + x / 2.0; }

static double h(double x) { return exp(-exponent * log(x)); }

/* The integral of h from 1 to x: (x^(1 - s) - 1) / (1 - s), or log(x). */
static double H(double x) { return exp_ratio((1.0 - exponent) * log(x)) * log(x); }

static double H_inverse(double y) {
    double power = fmax(y * (1.0 - exponent), -1.0); /* rounding could take it below */
    return exp(log_ratio(power) * y);
}

static uint32_t common_divisor(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void tg_zipf_begin(void) {
    exponent = tg_options.zipf;
    from = H(1.5) - 1.0;
    to = H(tg_options.sessions + 0.5);
    surely = 2.0 - H_inverse(H(2.5) - h(2.0));
    /* Steps of a golden section are far from each other, however many; coprime: each session once. */
    step = (uint32_t)(0.6180339887498949 * tg_options.sessions) | 1;
    while (common_divisor(step, tg_options.sessions) != 1) step += 2;
}

static uint32_t draw_rank(void) {
    for (;;) {
        double y = to + (double)(tg_draw() >> 11) * 0x1p-53 * (from - to);
        double x = H_inverse(y);
        double rank = fmax(1.0, fmin(floor(x + 0.5), tg_options.sessions));
        if (rank - x <= surely || y >= H(rank + 0.5) - h(rank)) return (uint32_t)rank;
    }
}

uint32_t tg_draw_zipf(void) { return (uint32_t)((uint64_t)draw_rank() * step % tg_options.sessions); }
