/*
 * What a person gets to read: which block it was, where the program went wrong, who had allocated and freed it. Nothing
 * here allocates.
 */
#define _GNU_SOURCE
#include "blocks.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void say(const char *format, ...)
{
    char line[400];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length > (int)sizeof(line) - 1)
        length = sizeof(line) - 1;
    if (write(STDERR_FILENO, line, length) < 0)
        return;
}

/* FILE+OFFSET is what addr2line and objdump take. */
static void say_place(const char *label, uintptr_t pc)
{
    Dl_info info;

    if (!pc)
        return;
    if (!dladdr((void *)pc, &info) || !info.dli_fname)
        say("guard:   %s %#lx\n", label, pc);
    else if (info.dli_sname)
        say("guard:   %s %s (%s+%#lx)\n", label, info.dli_sname, info.dli_fname, pc - (uintptr_t)info.dli_fbase);
    else
        say("guard:   %s %s+%#lx\n", label, info.dli_fname, pc - (uintptr_t)info.dli_fbase);
}

static void say_block(const struct record *run)
{
    say("guard:   the block has %zu bytes at %#lx\n", run->size, run->address);
    say_place("allocated at", run->allocated_by);
    if (run->state == FREED)
        say_place("freed at", run->freed_by);
}

void report_block(const char *what, uintptr_t address, const struct record *run, uintptr_t pc)
{
    say("guard: %s, address %#lx, process %d\n", what, address, (int)getpid());
    say_place("at", pc);
    if (run)
        say_block(run);
}

/* In a closed page between two runs: the access was rather meant for NEXT, which begins right behind, than for RUN. */
static bool is_nearer_below(uintptr_t address, const struct record *run, const struct record *next)
{
    if (!next || next == run || next->state != LIVE || next->address % PAGE != 0)
        return false;
    return !run || run->state != LIVE || next->address - address < address - (run->address + run->size);
}

void report_access(uintptr_t address, bool is_store, uintptr_t pc)
{
    size_t page = (address - (uintptr_t)heap) / PAGE;
    const struct record *run = page < used_pages ? &records[records[page].first] : NULL;
    const char *kind = is_store ? "store" : "load";
    const struct record *next;
    char what[120];

    if (!run || run->state == NEVER)
        run = NULL;
    next = page + 1 < used_pages ? &records[records[page + 1].first] : NULL;
    if (is_nearer_below(address, run, next)) {
        snprintf(what, sizeof(what), "%s %zu bytes before a block", kind, (size_t)(next->address - address));
        report_block(what, address, next, pc);
        return;
    }
    if (!run)
        snprintf(what, sizeof(what), "%s to the heap where no block is", kind);
    else if (run->state == FREED)
        snprintf(what, sizeof(what), "%s to a freed block, %ld bytes from its begin", kind,
                 (long)(address - run->address));
    else
        snprintf(what, sizeof(what), "%s %zu bytes past the end of a block", kind,
                 (size_t)(address - (run->address + run->size)));
    report_block(what, address, run, pc);
}
