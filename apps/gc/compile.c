/*
 * One compilation: the lock (macros and aliases are shared by all threads), the arena, errors.
 */
#include "compile.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

#define BLOCK_BYTES 65536

struct block {
    struct block *next;
    size_t used, size;
    char data[] __attribute__((aligned(16)));
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *thread;
static struct block *blocks;
static jmp_buf failure;
static const char *failure_message;
static value failure_form;

struct thread *compiling_thread(void) { return thread; }

void *arena(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!blocks || blocks->size - blocks->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct block *b = malloc(sizeof(*b) + room);
        if (!b)
            syntax_error("out of memory", FALSE);
        *b = (struct block){.next = blocks, .size = room};
        blocks = b;
    }
    void *p = blocks->data + blocks->used;
    blocks->used += size;
    return memset(p, 0, size);
}

static void free_arena(void)
{
    while (blocks) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

void syntax_error(const char *message, value form)
{
    failure_message = message;
    failure_form = form;
    longjmp(failure, 1);
}

value list_of(size_t count, ...)
{
    va_list arguments;
    value items[8], list = NIL;

    va_start(arguments, count);
    for (size_t i = 0; i < count; i++)
        items[i] = va_arg(arguments, value);
    va_end(arguments);
    while (count-- > 0)
        list = make_pair(thread, &items[count], &list);
    return list;
}

value compile(struct thread *t, value datum)
{
    value result;

    t->temporaries[0] = datum;
    park(t);
    pthread_mutex_lock(&lock);
    unpark(t);
    thread = t;
    t->hold++;
    if (!setjmp(failure)) {
        result = generate(expand_program(t->temporaries[0]));
    } else {
        value form = strip(failure_form);
        result = fail(t, failure_message, form);
    }
    free_arena();
    t->hold--;
    thread = NULL;
    pthread_mutex_unlock(&lock);
    t->temporaries[0] = FALSE;
    return result;
}
