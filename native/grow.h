/* Memory that doubles until there is room. */
#ifndef TIDEGATE_GROW_H
#define TIDEGATE_GROW_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for so many items at `memory`, the address of a pointer. 0, or ENOMEM with nothing changed. */
static inline int tg_grow(void *memory, size_t *capacity, size_t wanted, size_t item) {
    if (wanted <= *capacity) return 0;
    size_t larger = *capacity ? *capacity : 64;
    while (larger < wanted) larger *= 2;
    void *old, *grown;
    memcpy(&old, memory, sizeof old);
    if (!(grown = realloc(old, larger * item))) return ENOMEM;
    memcpy(memory, &grown, sizeof grown);
    *capacity = larger;
    return 0;
}

#endif
