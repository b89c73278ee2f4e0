/*
 * Ports. A PORT object has
 *
 *     | file number or -1 | flags | string or bytevector | position or length |
 *
 * The files are in a table outside the heap, with their buffers; ports to strings and bytevectors have theirs in the
 * heap.
 */
#ifndef GC_PORT_H
#define GC_PORT_H

#include "prims.h"
#include "text.h"

enum { PORT_FILE, PORT_FLAGS, PORT_BUFFER, PORT_POSITION, PORT_SLOTS };
enum { PORT_INPUT = 1, PORT_OUTPUT = 2, PORT_BINARY = 4, PORT_CLOSED = 8 };

static inline size_t port_flags(value port) { return fixnum_value(slots(port)[PORT_FLAGS]); }
static inline bool is_file_port(value port) { return fixnum_value(slots(port)[PORT_FILE]) >= 0; }

/* Writes out what is buffered. 0, or the first error's errno. */
int ports_flush(void);

/* A port to an open file. */
value port_of_file(struct thread *t, int fd, size_t flags);
/* Ends a file port's file, having written what is buffered. PORT is a root. UNSPECIFIED or FAILED. */
value port_close(struct thread *t, value *port);
/* PORT, a root, gets TEXT. UNSPECIFIED or FAILED. */
value port_write(struct thread *t, value *port, const char *text, size_t length);
value port_flush(struct thread *t, value *port);
/* A byte of a file, -1 at its end, or where it cannot be read. May park. CONSUME: go on behind it. */
int port_byte(struct thread *t, value *port, bool consume);
/* The file's bytes that have been read but not consumed. False at the end of file. */
bool port_fill(struct thread *t, value *port);
void port_window(value port, const char **at, const char **end);
void port_consume(value port, const char *to);

#endif
