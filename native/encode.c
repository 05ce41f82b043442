#include "encode.h"

#include <math.h>
#include <string.h>

#include "elementary.h"

static const double LIMIT = 1e6;
static const double DAY = 86400.0;
static const double EPOCH_WEEKDAY = 3.0; /* 1 January 1970 was a Thursday, and Monday is 0 */

/* As numpy.mod of a positive divisor: the sign of the divisor, and +0. fmod is exact everywhere. */
static double modulo(double x, double divisor) {
    const double rest = fmod(x, divisor);
    if (rest == 0.0) return 0.0;
    return rest < 0.0 ? rest + divisor : rest;
}

static double cut(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

static double scaled(double number, double center, double spread) {
    return cut((number - center) / spread, -LIMIT, LIMIT);
}

static void on_circle(double share, float *pair) {
    pair[0] = (float)tg_sin_turn(share);
    pair[1] = (float)tg_cos_turn(share);
}

static tg_fault fault_of(const tg_field *field, double given, const double *state) {
    if (isinf(given)) return TG_VALUE_NOT_FINITE;
    const bool missing = isnan(given);
    if (field->required) return missing ? TG_VALUE_MISSING : TG_ENCODED;
    if (field->constant) {
        const double began = state[field->slot];
        if (missing) return isnan(began) ? TG_CONSTANT_MISSING : TG_ENCODED;
        if (given != began && !isnan(began)) return TG_CONSTANT_CHANGED;
    }
    return TG_ENCODED;
}

static tg_fault first_fault(const tg_schema *schema, const double *raw, double time, const double *state,
                            size_t *field) {
    *field = 0;
    if (!isfinite(time)) return TG_TIME_NOT_FINITE;
    tg_fault worst = TG_ENCODED;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const tg_fault fault = fault_of(&schema->fields[i], raw[i], state);
        if (fault != TG_ENCODED && (worst == TG_ENCODED || fault < worst)) {
            worst = fault;
            *field = i;
        }
    }
    return worst;
}

tg_fault tg_encode(const tg_schema *schema, const double *raw, double time, double *state, float *row,
                   size_t *field) {
    const tg_fault fault = first_fault(schema, raw, time, state, field);
    if (fault != TG_ENCODED) {
        memset(row, 0, schema->width * sizeof *row);
        return fault;
    }
    for (size_t i = 0; i < schema->n_fields; i++) {
        const tg_field *f = &schema->fields[i];
        const bool missing = isnan(raw[i]);
        double value = raw[i] + 0.0; /* -0 becomes +0: equal numbers have equal bytes */
        if (f->slot != TG_NONE) {
            if (missing) value = state[f->slot];
            else state[f->slot] = value;
        }
        if (isnan(value)) value = f->fill;
        if (!f->category) {
            value = cut(value, f->low, f->high);
            if (f->logged) value = copysign(tg_log1p(fabs(value)), value);
            value = scaled(value, f->center, f->spread);
        }
        row[f->column] = (float)value;
        if (f->indicator != TG_NONE) row[f->indicator] = (float)missing;
    }
    if (schema->delta != TG_NONE) {
        const double delta = time - state[schema->delta_slot]; /* NaN at a session's first event */
        const double log_delta = tg_log1p(delta > 0.0 ? delta : 0.0);
        row[schema->delta] = (float)scaled(log_delta, schema->delta_center, schema->delta_spread);
        state[schema->delta_slot] = time;
    }
    const double local = time + schema->utc_offset;
    if (schema->hour != TG_NONE) on_circle(modulo(local, DAY) / DAY, row + schema->hour);
    if (schema->weekday != TG_NONE) {
        const double day = floor(local / DAY) + EPOCH_WEEKDAY;
        on_circle(modulo(day, 7.0) / 7.0, row + schema->weekday);
    }
    return TG_ENCODED;
}
