#include "heap.h"
void generational_open(void) {}
void generational_need(struct thread *thread) { (void)thread; }
void generational_fully(struct thread *thread) { (void)thread; }
ptrdiff_t generational_chunk(struct thread *thread, size_t *count)
{
    (void)thread;
    (void)count;
    return -1;
}
void generational_large(size_t first, size_t count)
{
    (void)first;
    (void)count;
}
