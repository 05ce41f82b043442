/* The schema in C: one event's raw values to a row of floats, with what its session remembers.
 *
 * Equal to the bit to schema/encode.py, which says what it all means: the same float64 operations in the
 * same order, and tg_log1p and its kin for what is not an operation of IEEE 754.
 */
#ifndef TIDEGATE_ENCODE_H
#define TIDEGATE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TG_NONE ((size_t)-1) /* no such column or slot */

/* One field. Fields stand in the encoder's order: numeric and boolean ones, then categories. */
typedef struct {
    size_t column;    /* of the value in the row */
    size_t indicator; /* column, or TG_NONE */
    size_t slot;      /* in the state, or TG_NONE: that of a field that carries, or is constant */
    bool required;    /* a missing value is always an error */
    bool constant;
    bool logged;
    bool category; /* an index: neither scaled nor cut off */
    double fill;   /* stands for a missing value with no earlier one */
    double low;    /* a number below is cut to it, before scaling; may be minus infinity */
    double high;   /* likewise above */
    double center;
    double spread;
} tg_field;

typedef struct {
    size_t n_fields;
    const tg_field *fields;
    size_t width;
    size_t state_size;
    size_t delta;      /* column of the time since the previous event, or TG_NONE */
    size_t delta_slot; /* of the previous event's time: the state's last; read only with `delta` */
    double delta_center;
    double delta_spread;
    size_t hour;    /* column of the sine of the hour of day (the cosine's is the next), or TG_NONE */
    size_t weekday; /* likewise */
    double utc_offset; /* seconds */
} tg_schema;

/* What is wrong with an event. Of several faults the lowest is reported; of equal ones, that of the
 * first field. */
typedef enum {
    TG_ENCODED,
    TG_TIME_NOT_FINITE,
    TG_VALUE_NOT_FINITE,
    TG_VALUE_MISSING,
    TG_CONSTANT_CHANGED,
    TG_CONSTANT_MISSING,
} tg_fault;

/* Encodes one event. `raw` has one value a field (a category's as its index; NaN: missing). `state` has
 * `state_size` numbers, those before the event, and becomes those after it; `row` gets `width` floats.
 * With a fault the state stays, the row is zeros and `*field` is the field (0 where it is the time). */
tg_fault tg_encode(const tg_schema *schema, const double *raw, double time, double *state, float *row,
                   size_t *field);

#endif
