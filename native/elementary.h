/* Elementary functions that give the same bits on every processor.
 *
 * The C library's and NumPy's logarithm, sine and cosine differ in the last bit from one processor,
 * vector width or version to the next. These are made of IEEE 754 double additions, multiplications
 * and divisions (each rounded to nearest) and of integer operations, in a fixed order; nothing is
 * contracted into FMA (-ffp-contract=off). The schema uses them in training and in serving, from C and
 * from Python. elementary.c derives each with its error: at most 1.5 units in the last place.
 */
#ifndef TIDEGATE_ELEMENTARY_H
#define TIDEGATE_ELEMENTARY_H

#include <stddef.h>

/* log(1 + x) for x >= 0; infinity of infinity, NaN of anything else. */
double tg_log1p(double x);

/* e^x; 0 below -708, infinity above 709. */
double tg_exp(double x);

/* Sine and cosine of a share of a full turn, 0 to 1 (both included), exact at quarter turns; NaN of
 * anything else. Zeros are +0. */
double tg_sin_turn(double share);
double tg_cos_turn(double share);

/* Element by element; `out` may be `x`. */
void tg_log1p_array(size_t n, const double *x, double *out);
void tg_exp_array(size_t n, const double *x, double *out);
void tg_library_exp_array(size_t n, const double *x, double *out); /* the C library's, one by one */
void tg_sin_turn_array(size_t n, const double *shares, double *out);
void tg_cos_turn_array(size_t n, const double *shares, double *out);

#endif
