#include "elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Below, u = 2^-53 is the largest relative error of one rounding, and "ulp" the distance between
 * neighbouring doubles at the result. Coefficients are the doubles nearest to the real numbers that
 * the comments give (hexadecimal, so that no reader rounds them again). */

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* log(1 + x)
 *
 * 1. Let v = 1 + x, rounded, and e = (1 + x) - v the error of that rounding, which is a double
 *    (Knuth's two-sum). Then log(1 + x) = log(v) + e / v - ..., where the next term is at most
 *    (e / v)^2 / 2 <= 2^-107. Where v = 1, that is half an ulp at worst, and there is no other error;
 *    elsewhere x > 2^-53, and it is a quarter of an ulp at worst, of a result near 2^-53, and soon
 *    nothing.
 * 2. v = 2^k m with m in [sqrt(1/2), sqrt(2)): k and m are read off the bits. f = m - 1 is exact.
 * 3. With s = f / (2 + f), m = (1 + s) / (1 - s), so log(m) = 2 atanh(s) = 2 s + s R, where
 *    R = 2/3 z + 2/5 z^2 + ... and z = s^2 <= 0.0295. Cut off after z^10, R lacks less than 2^-59.
 *    As 2 s = f - s f, log(m) = f - s (f - R): f is exact, and the rounded product is small beside it.
 * 4. log(2) = HI + LO, HI with so few bits that k HI is exact. k HI + f = head + rest, exactly
 *    (Dekker's fast two-sum: k = 0, or k HI > |f|).
 *
 * Error: the last addition rounds by 0.5 ulp. The product s (f - R) has four roundings, and two more
 * add rest, k LO and e / v to it: less than 6 u |s (f - R)| altogether. Where log(m) is the result
 * (k = 0), |s (f - R)| is at most 0.068 at a result of 0.35 with ulp 2^-54, and 0.035 at one of 0.25
 * with ulp 2^-55, and smaller still beside the ulp elsewhere: 0.82 ulp. With k > 0 it is at most 0.068
 * beside a result of 0.34 or more: as much. Below 1.4 ulp in all; measured, below 1. */
double tg_log1p(double x) {
    static const double HI = 0x1.62e42fefa3800p-1;
    static const double LO = 0x1.ef35793c76730p-45;
    static const uint64_t SQRT_HALF = 0x3fe6a09e667f3bcdu;
    if (!(x >= 0.0)) return NAN;
    if (x > 0x1.fffffffffffffp1023) return x;

    const double v = 1.0 + x;
    const double x_in_v = v - 1.0;
    const double e = (1.0 - (v - x_in_v)) + (x - x_in_v);

    const uint64_t k = (bits_of(v) - SQRT_HALF) >> 52;
    const double f = from_bits(bits_of(v) - (k << 52)) - 1.0;

    const double s = f / (2.0 + f);
    const double z = s * s, y = z * z;
    /* 2/3, 2/7, ... and 2/5, 2/9, ...: two short chains run side by side. */
    const double odd = 0x1.5555555555555p-1 +
                       y * (0x1.2492492492492p-2 +
                            y * (0x1.745d1745d1746p-3 +
                                 y * (0x1.1111111111111p-3 + y * 0x1.af286bca1af28p-4)));
    const double even = 0x1.999999999999ap-2 +
                        y * (0x1.c71c71c71c71cp-3 +
                             y * (0x1.3b13b13b13b14p-3 +
                                  y * (0x1.e1e1e1e1e1e1ep-4 + y * 0x1.8618618618618p-4)));
    const double R = z * (odd + z * even);

    const double doublings = (double)(int64_t)k;
    const double head = doublings * HI + f;
    const double rest = f - (head - doublings * HI);
    return head + ((rest + (doublings * LO + e / v)) - s * (f - R));
}

/* e^x
 *
 * x = k log(2) + r with k the nearest integer, so |r| <= 0.347. log(2) = HI + LO as above: k HI is exact,
 * and so is x - k HI (k = 0, or both are within a factor of 2). e^r = 1 + r + r^2 Q(r), by Taylor's series.
 * Cut off after r^13, it lacks less than 2^-57 of itself. The product with 2^k is exact: x bounds k.
 *
 * Error: the last addition rounds by 0.5 ulp. Where the result is below 1 (e^r; its ulp is 2^-53 then),
 * r is known to 2^-55, r + r^2 Q rounds by 2^-55, and r^2 Q is at most 0.07, in four roundings that count:
 * 0.8 ulp. Elsewhere it is less beside a larger ulp. 1.3 ulp in all. */
double tg_exp(double x) {
    static const double HI = 0x1.62e42fefa3800p-1;
    static const double LO = 0x1.ef35793c76730p-45;
    static const double PER_DOUBLING = 0x1.71547652b82fep+0;
    if (x < -708.0) return 0.0;
    if (x > 709.0) return INFINITY;
    if (!(x == x)) return NAN;
    const int64_t k = (int64_t)(x * PER_DOUBLING + (x < 0.0 ? -0.5 : 0.5));
    const double doublings = (double)k;
    const double r = (x - doublings * HI) - doublings * LO;
    static const double taylor[] = {
        0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26, 0x1.27e4fb7789f5cp-22,
        0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10,
        0x1.1111111111111p-7,  0x1.5555555555555p-5,  0x1.5555555555555p-3,  0x1.0000000000000p-1,
    };
    double Q = 0.0;
    for (size_t i = 0; i < sizeof taylor / sizeof *taylor; i++) Q = Q * r + taylor[i];
    return (1.0 + (r + r * r * Q)) * from_bits((uint64_t)(k + 1023) << 52);
}

/* sin(2 pi r) for |r| <= 1/8.
 *
 * = 2 pi r + r^3 Q(r^2), by Taylor's series with (2 pi)^n / n! as coefficients. Cut off after r^17, it
 * lacks less than 2^-63 of itself. 2 pi r is kept in two parts: 2 pi = HI + LO, HI of 26 bits; r with
 * its low 27 bits cleared has 26, so their product is exact.
 *
 * Error: 0.5 ulp of the last addition. r^3 Q is at most 0.081, in six roundings or fewer, beside a
 * result of 0.707 with ulp 2^-53 (0.024 beside one of 0.5 with ulp 2^-54, and so on down): 0.5 ulp.
 * The low part of 2 pi r is 2^-24 of the result: its roundings do not count. */
static double sin_eighth(double r) {
    static const double HI = 0x1.921fb50000000p+2;
    static const double LO = 0x1.110b4611a6263p-24;
    static const double TURN = 0x1.921fb54442d18p+2;
    const double r_high = from_bits(bits_of(r) & ~(uint64_t)0x7ffffff);
    const double low = r_high * LO + (r - r_high) * TURN;

    const double z = r * r, y = z * z;
    const double even = -0x1.4abbce625be53p+5 +
                        y * (-0x1.32d2cce62bd86p+6 +
                             y * (-0x1.e3074fde8871fp+3 + y * -0x1.6fadb9f155744p-1));
    const double odd = 0x1.466bc6775aae2p+6 +
                       y * (0x1.50783487ee782p+5 +
                            y * (0x1.e8f434d018d63p+1 + y * 0x1.aaec32af93359p-4));
    return r_high * HI + (low + r * z * (even + z * odd));
}

/* cos(2 pi r) for |r| <= 1/8.
 *
 * = 1 - w + r^4 Q(r^2) with w = (2 pi r)^2 / 2, by Taylor's series. Cut off after r^16, it lacks less
 * than 2^-58. 1 - w = head + rest, exactly (Dekker's fast two-sum).
 *
 * Error: the result is 0.707 or more, its ulp 2^-53 (2^-52 at 1, where w is 0 or nearly). 0.5 ulp of
 * the last addition. w is at most 0.309, and comes from two roundings and a rounded coefficient: at
 * most 0.155 + 0.25 + 0.18 ulp. r^4 Q is at most 0.016, in six roundings: 0.1 ulp. 1.2 ulp in all. */
static double cos_eighth(double r) {
    const double z = r * r, y = z * z;
    const double w = 0x1.3bd3cc9be45dep+4 * z;
    const double even = 0x1.03c1f081b5ac4p+6 +
                        y * (0x1.e1f506891babbp+5 +
                             y * (0x1.f9d38a3763cc3p+2 + y * 0x1.20c62c2f2d7f5p-2));
    const double odd = -0x1.55d3c7e3cbffap+6 + y * (-0x1.a6d1f2a204a8cp+4 + y * -0x1.b6e24f44b128fp+0);
    const double head = 1.0 - w;
    const double rest = (1.0 - head) - w;
    return head + (rest + y * (even + z * odd));
}

/* The sine of `share` of a turn, `quarters` quarter turns further on.
 *
 * share = q / 4 + r with q the nearest integer, so |r| <= 1/8, give or take a rounding where two are
 * equally near. The subtraction is exact: q is 0, or q / 4 and share are within a factor of 2. */
static double turn(double share, unsigned quarters) {
    if (!(share >= 0.0 && share <= 1.0)) return NAN;
    const unsigned q = (unsigned)(share * 4.0 + 0.5);
    const double r = share - q * 0.25;
    switch ((q + quarters) % 4) {
    case 0: return sin_eighth(r);
    case 1: return cos_eighth(r);
    case 2: return 0.0 - sin_eighth(r); /* 0 - 0 is +0 */
    default: return -cos_eighth(r);
    }
}

double tg_sin_turn(double share) { return turn(share, 0); }

double tg_cos_turn(double share) { return turn(share, 1); }

void tg_log1p_array(size_t n, const double *x, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = tg_log1p(x[i]);
}

void tg_sin_turn_array(size_t n, const double *shares, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = tg_sin_turn(shares[i]);
}

void tg_cos_turn_array(size_t n, const double *shares, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = tg_cos_turn(shares[i]);
}

void tg_exp_array(size_t n, const double *x, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = tg_exp(x[i]);
}

void tg_library_exp_array(size_t n, const double *x, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = exp(x[i]);
}
