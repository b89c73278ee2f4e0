/* vmhost's thread; there will be no others. */
#ifndef EXT3HOST_THREAD_H
#define EXT3HOST_THREAD_H

#include_next "sched/thread.h"

static inline struct thread *kernel_thread(const char *name, void (*fn)(void *), void *arg) { return NULL; }

#endif
