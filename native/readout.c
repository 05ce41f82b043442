#include "readout.h"

#include <math.h>

#include "elementary.h"

enum { AT_ONCE = 256 };

/* The product of two floats is exact in double: only the sums round. */
void tg_add_skip(const tg_model *model, const float *row, size_t first, size_t count, float *outputs) {
    double sums[AT_ONCE];
    for (size_t begin = 0; begin < count; begin += AT_ONCE) {
        const size_t some = count - begin < AT_ONCE ? count - begin : AT_ONCE;
        for (size_t o = 0; o < some; o++) sums[o] = outputs[begin + o];
        for (size_t k = 0; k < model->n_numbers; k++) {
            const double x = row[model->numbers[k]];
            const float *weights = model->skip + k * model->output_size + first + begin;
            for (size_t o = 0; o < some; o++) sums[o] += weights[o] * x;
        }
        for (size_t o = 0; o < some; o++) outputs[begin + o] = (float)sums[o];
    }
}

/* Minus the log likelihood of x under a normal distribution. */
static double of_number(double x, double mean, double log_scale) {
    static const double HALF_LOG_TURN = 0x1.d67f1c864beb5p-1; /* log(2 pi) / 2 */
    log_scale = log_scale < -5.0 ? -5.0 : log_scale > 5.0 ? 5.0 : log_scale;
    const double u = (x - mean) * tg_exp(-log_scale);
    return u * u / 2.0 + log_scale + HALF_LOG_TURN;
}

/* Minus the log of an index's share of e to the logits; NaN of a number that is no index. */
static double of_index(double x, size_t n, const float *logits) {
    if (!(x >= 0.0 && x < (double)n && x == floor(x))) return NAN;
    double most = logits[0], total = 0.0;
    for (size_t i = 1; i < n; i++) most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < n; i++) total += tg_exp(logits[i] - most);
    return most - logits[(size_t)x] + tg_log1p(total - 1.0); /* the largest gave a 1 */
}

void tg_surprise(const tg_model *model, const float *row, const float *outputs, float *answer) {
    const bool sound = tg_finite(model->output_size, outputs);
    double total = 0.0;
    for (size_t p = 0; p < model->n_parts; p++) {
        const tg_part *part = &model->parts[p];
        const float *its = outputs + part->output;
        const double x = row[part->column];
        double nats = NAN;
        if (sound && part->missing >= 0 && row[part->missing] == 1.0f) nats = 0.0;
        else if (sound) nats = part->categorical ? of_index(x, part->size, its) : of_number(x, its[0], its[1]);
        total += nats;
        answer[1 + p] = (float)nats;
    }
    answer[0] = (float)total;
}
