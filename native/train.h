/* Whole sequences of one recurrent layer, forward and backward: what training needs of a layer.
 *
 * The products of the inputs come from the caller, and the weights' gradients are left to it: both are
 * large products over all events at once. In between stands the recurrence, whose steps wait for each other;
 * it is done here, one group of sessions per thread, and events that a session has not are never touched.
 *
 * Matrices have a row for each event: session b's event t is row offsets[b] + t. H is the hidden size. What a
 * row holds, in columns of H numbers:
 *
 *             a (inputs' product)   kept             d (gradients)              bias
 *   GRU       n r z                 n r z u          n r z u | h                n r z u
 *   GRU_BEFORE n r z                n r z            n r z | h rh               n r z
 *   LSTM      i f g o               i f g o c        i f g o | h                i f g o
 *   RNN       h                     h                h | h                      h
 *
 * u is n's recurrent product, which the reset gate scales. The columns of d behind the bar are operands for
 * the weights' gradients: h as it went into the product, and r * h. With LayerNorm `kept` has all recurrent
 * products in place of u, behind the others and in the order of the weights (r z n, i f g o, h), and d their
 * gradients before its operands.
 */
#ifndef TIDEGATE_TRAIN_H
#define TIDEGATE_TRAIN_H

#include "step.h"

/* Widths of rows and where in d the parts begin, in columns of H. */
typedef struct {
    size_t a, kept, d, bias;
    size_t raw; /* d: gradients of the recurrent product, in the order of the weights; GRU_BEFORE: of r, z */
    size_t raw_candidate; /* d, GRU_BEFORE: of the candidate's */
    size_t operands;
} tg_layout;

tg_layout tg_layout_of(tg_cell cell, bool norm);

/* Mean and 1 / deviation of what was normalised: the inputs' product, the recurrent one, GRU_BEFORE's
 * candidate or an LSTM's c. */
typedef struct {
    float mean, factor;
} tg_moments;
enum { TG_OF_INPUT, TG_OF_RECURRENT, TG_OF_CANDIDATE, TG_OF_CELL = TG_OF_CANDIDATE, TG_MOMENTS };

typedef struct {
    tg_cell cell;
    tg_precision precision;
    size_t hidden_size, sessions;
    const int64_t *lengths, *offsets;
    bool reverse;        /* from each session's last event to its first */
    const float *weight; /* gates * H x H, as torch has it: r z n, i f g o, h */
    const float *bias;
    const float *gain_input, *gain; /* LayerNorm, gates * H each: of a, in its columns, and of the recurrent
                                       product; NULL: none */
    const float *cell_gain, *cell_shift; /* LSTM with LayerNorm: H each, of c */
    const float *peephole;            /* LSTM: 3 H: i f o; NULL: none */
    const float *mask;                /* sessions x H: scales h into the product; NULL: none */
    const float *keep, *keep_cell;    /* rows x H: 1 where h, c stay; NULL: the rate everywhere */
    float keep_rate, keep_cell_rate;
    const float *h, *c; /* sessions x H: before the first step */
    const void *a; /* floats, or bf16 where the products are */
    /* forward */
    float *y;            /* rows x H */
    float *h_end, *c_end; /* sessions x H */
    float *kept;         /* NULL: nothing is kept */
    tg_moments *moments; /* rows x TG_MOMENTS: with LayerNorm, kept too */
    /* backward, which reads a (with LayerNorm), y, kept and moments */
    const float *dy;               /* rows x H; NULL: 0 */
    const float *dh_end, *dc_end;  /* sessions x H; NULL: 0 */
    void *d; /* as a */
    float *dh, *dc; /* sessions x H: of the state before the first step */
    float *sums;    /* of bias, gain_input, gain, cell_gain, cell_shift, peephole: as many as there are */
} tg_sequence;

size_t tg_sums(const tg_sequence *q);

/* Both return 0, or -1: out of memory, nothing was written. */
int tg_forward(const tg_sequence *q, size_t threads);
int tg_backward(const tg_sequence *q, size_t threads);

/* Whether torch's threads were found in the process: without them there is one. */
bool tg_finds_threads(void);

/* n numbers that are `value` with probability `rate`, else 0. */
void tg_draw(uint64_t seed, float rate, float value, size_t n, float *out);

/* Some sessions of a sequence, on their way through a kernel. */
typedef struct {
    const tg_sequence *q;
    tg_layout layout;
    tg_product recurrent, candidate; /* forward: of h, of r * h; backward: of their gradients */
    size_t n;
    const int64_t *sessions; /* falling by length */
    /* Working memory; vectors of whole panels, one for each session. */
    float *h, *c;       /* forward: the states; backward: their gradients */
    float *v;           /* what goes into the products */
    float *w;
    float *u, *u2;      /* what comes out of them */
    float *a, *d;       /* bf16: a row of one, rows of the other, as floats; `a` is NULL where it is not read */
    uint8_t *operand;
    float *scale;
    float *sums;        /* of this group */
} tg_cohort;

#endif
