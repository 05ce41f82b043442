/* The file that make_cases.py wrote, and the memory that holds a case of it. */
#ifndef TIDEGATE_TEST_CASES_H
#define TIDEGATE_TEST_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Noreturn void fail(const char *what);

/* Memory of a case, all freed at once: whole vectors for what the core works in, and arrays as long as they
 * say and no longer for what is the caller's. */
void *room(size_t bytes);
void *exact(size_t bytes);
void forget_all(void);

/* 64-bit numbers, and arrays behind their length in bytes. One a statement: C leaves the order of initialisers
 * open. */
void open_cases(const char *path);
void close_cases(void);
uint64_t number(void);
void *array(size_t *bytes, size_t behind); /* followed by so many bytes of 0 */
const void *optional(void);                /* NULL if it is empty */

/* The largest difference, relative to numbers above 1; infinite where one has a NaN and the other has not.
 * NaNs are equal whatever their bits: processors choose them as they like. */
double difference(size_t n, const float *x, const float *y);

/* Whether a set has the arithmetic of plain C: that of processors without FMA. */
bool is_plain(const char *set);

/* Plays the file's sequences (replay_train.c) on the set in use. `fma`: the machine that wrote it has it. */
void replay_sequences(const char *set, bool fma);

#endif
