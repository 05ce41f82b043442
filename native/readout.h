/* What an event is answered with, where that is not the head's outputs alone. Here are the parts that are the
 * same on every instruction set: double arithmetic in a fixed order, of one event at a time. */
#ifndef TIDEGATE_READOUT_H
#define TIDEGATE_READOUT_H

#include "step.h"

/* Adds what the row's numbers count for to outputs `first` to `first + count`. */
void tg_add_skip(const tg_model *model, const float *row, size_t first, size_t count, float *outputs);

/* Writes how much a row surprises, in all and by each part; NaN, where an output is not finite. */
void tg_surprise(const tg_model *model, const float *row, const float *outputs, float *answer);

#endif
