/*
 * Continuations: what is on the stack below the current frame, put aside into the heap.
 *
 *     STACK object:   | link | link's top | words of the stack, ending with a frame |
 *
 * That happens when call/cc asks for it and when the stack is full, so recursion is as deep as the heap is large, and
 * what one stop has to scan is bounded. A continuation is then the newest such object and how much of it counts.
 * Returning beyond the bottom of the stack takes one frame back at a time (machine.c); the objects are never changed,
 * so a continuation can be entered any number of times.
 */
#include <string.h>

#include "code.h"
#include "prims.h"

/* The ARGUMENTS values at fp are all that stays on the stack, at its bottom. */
void put_stack_aside(struct thread *t, size_t arguments)
{
    value *bottom = t->stack + FRAME_WORDS;
    size_t count = t->fp - bottom;

    if (!count)
        return;
    value part = allocate(t, STACK, 2 + count);
    slots(part)[0] = t->continuation;
    slots(part)[1] = t->continuation_top;
    memcpy(slots(part) + 2, bottom, count * sizeof(value));
    t->continuation = part;
    t->continuation_top = fixnum(count);
    memmove(bottom, t->fp, arguments * sizeof(value));
    t->fp = bottom;
    t->sp = bottom + arguments;
}
