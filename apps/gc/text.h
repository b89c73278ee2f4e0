/* Text under construction, UTF-8, outside the heap. */
#ifndef GC_TEXT_H
#define GC_TEXT_H

#include "value.h"

struct text {
    char *data;
    size_t length, room;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_add_string(struct text *text, const char *string);
void text_add_character(struct text *text, uint32_t c);
void text_free(struct text *text);

/* How a datum is shown: as `display` or `write` do. Does not allocate in the heap. */
void print_value(struct text *text, value v, bool display);

/*
 * Reading: data from text in memory. The next datum of [*AT, END), after which *AT is behind it; END_OF_FILE if there
 * is none; FAILED with thread->error. When the text ends within a datum and MORE is set, ABSENT: call again with more
 * text.
 */
struct thread;
value read_datum(struct thread *t, const char **at, const char *end, bool more);

#endif
