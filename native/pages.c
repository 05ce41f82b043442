#define _DEFAULT_SOURCE /* mmap, madvise */
#include "pages.h"

#include <stdint.h>
#include <sys/mman.h>

/* Whole pages, however large a system has them: munmap refuses to begin within one. */
static size_t whole_pages(size_t size) {
    const size_t largest = (size_t)64 << 10;
    return (size + largest - 1) / largest * largest;
}

void *tg_map(size_t size, bool huge) {
    size = whole_pages(size);
    const size_t whole = size + TG_HUGE_PAGE;
    uint8_t *found = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return NULL;
    const size_t before = (TG_HUGE_PAGE - (uintptr_t)found % TG_HUGE_PAGE) % TG_HUGE_PAGE;
    if (before) munmap(found, before);
    munmap(found + before + size, whole - before - size);
#ifdef MADV_HUGEPAGE
    if (huge) madvise(found + before, size, MADV_HUGEPAGE); /* a wish: it may be refused */
#else
    (void)huge;
#endif
    return found + before;
}

void tg_unmap(void *memory, size_t size) {
    if (memory) munmap(memory, whole_pages(size));
}
