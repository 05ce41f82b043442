/* Memory straight from the system: zeroed, and not there before it is touched. */
#ifndef TIDEGATE_PAGES_H
#define TIDEGATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#define TG_HUGE_PAGE ((size_t)2 << 20)

/* At a multiple of TG_HUGE_PAGE, so that the system may back it with such pages, as it is asked to if `huge`.
 * NULL: out of memory. */
void *tg_map(size_t size, bool huge);
void tg_unmap(void *memory, size_t size);

#endif
