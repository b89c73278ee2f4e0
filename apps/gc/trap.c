/*
 * The fault handler. It runs in the mutator that faulted, between two of its instructions: those that touch the heap's
 * objects. No lock is held there, so the handler may take collect_lock; and it uses the collector's view only, which
 * does not fault.
 */
#include "trap.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heap.h"
#include "stats.h"
#include "threads.h"
#include "vm.h"

static void (*ready)(size_t page);

static void handle(struct vm_fault *fault, void *argument)
{
    uint64_t start = stats_now();
    size_t page = page_number((value)fault->address);

    (void)argument;
    if (heap.pages[page].space == FREE) {
        static const char message[] = "gc: a freed page was touched: a root is missing\n";
        if (write(2, message, sizeof(message) - 1) < 0)
            _exit(71);
        _exit(71);
    }
    ready(page);
    vm_fault_protect(fault, page_address(page), PAGE_BYTES, PROT_READ | PROT_WRITE);
    if (this_thread)
        stats_pause(this_thread, PAUSE_TRAP, stats_now() - start);
}

int trap_open(void (*make_ready)(size_t page))
{
    ready = make_ready;
    return vm_trap(heap.base, heap.page_count * PAGE_BYTES, handle, NULL);
}
