/* Large blocks of memory that training takes and gives back at every step.
 *
 * From the system each of them would come page by page, zeroed, which for a large batch takes longer than to fill
 * it. Those that were given back are kept for the next step; the system may have their pages whenever it is short
 * of memory, and has them back once nobody has wanted a block for a while.
 */
#ifndef TIDEGATE_BLOCKS_H
#define TIDEGATE_BLOCKS_H

#include <stddef.h>

/* A block of so many bytes or more, whatever is in it; any thread may take and give. NULL: out of memory. */
void *tg_block_take(size_t size);
void tg_block_give(void *memory);

/* Bytes of the blocks that wait to be taken. */
size_t tg_blocks_waiting(void);

#endif
