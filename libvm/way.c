/*
 * Which way faults come, decided once, and the threads' side of both.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum way vm_way(void) { return WAY_SIGNALS; }

const char *vm_backend(void) { return vm_way() == WAY_QUIRE ? "quire" : "signals"; }

int vm_thread_enter(void) { return vm_signals_enter(); }

void vm_thread_leave(void) { vm_signals_leave(); }

void vm_leave_handler(void) { vm_signals_leave_handler(); }
