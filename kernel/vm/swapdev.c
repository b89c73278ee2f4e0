#include "vm/swapdev.h"
unsigned swapdev_alloc(unsigned n, u64 *block) { return 0; }
void swapdev_free(u64 block) {}
bool swapdev_has_room(void) { return false; }
bool swap_prefers_device(void) { return false; }
void swapdev_stats(u64 *total, u64 *free) { *total = *free = 0; }
int swapdev_write(u64 block, struct page **pages, unsigned n) { return -5; }
int swapdev_read(u64 block, struct page *page) { return -5; }
