#include "heap.h"
void concurrent_open(void) {}
void concurrent_close(void) {}
void concurrent_need(struct thread *thread) { (void)thread; }
void concurrent_fully(struct thread *thread) { (void)thread; }
