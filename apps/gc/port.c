/*
 * Files behind ports: descriptors and buffers, in a table. A port that is not closed keeps its file open, and the table
 * has room for MOST_FILES. Calls that may wait are made while the thread is parked.
 */
#include "port.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FILES 1024
#define FLUSH_BYTES 8192

struct file {
    int fd;
    bool used, eager; /* eager: written out at the end of each line */
    struct text in, out;
    size_t consumed;
    pthread_mutex_t lock; /* out */
};

static struct file files[MOST_FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct file *file_of(value port) { return &files[fixnum_value(slots(port)[PORT_FILE])]; }

value port_of_file(struct thread *t, int fd, size_t flags)
{
    size_t i = 0;
    pthread_mutex_lock(&lock);
    while (i < MOST_FILES && files[i].used)
        i++;
    if (i < MOST_FILES) {
        files[i] = (struct file){.fd = fd, .used = true, .eager = fd < 3 && isatty(fd)};
        pthread_mutex_init(&files[i].lock, NULL);
    }
    pthread_mutex_unlock(&lock);
    if (i == MOST_FILES) {
        close(fd);
        return fail(t, "too many open files", NIL);
    }
    value port = allocate(t, PORT, PORT_SLOTS);
    slots(port)[PORT_FILE] = fixnum(i);
    slots(port)[PORT_FLAGS] = fixnum(flags);
    slots(port)[PORT_BUFFER] = FALSE;
    slots(port)[PORT_POSITION] = fixnum(0);
    return port;
}

/* 0 or an errno. No access to the heap. */
static int write_out(struct file *f)
{
    size_t done = 0;
    int error = 0;
    while (done < f->out.length) {
        ssize_t n = write(f->fd, f->out.data + done, f->out.length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error = errno;
            break;
        }
        done += n;
    }
    f->out.length = 0;
    return error;
}

int ports_flush(void)
{
    int first = 0;
    for (size_t i = 0; i < MOST_FILES; i++)
        if (files[i].used) {
            int error = write_out(&files[i]);
            first = first ? first : error;
        }
    return first;
}

static value flush(struct thread *t, struct file *f)
{
    park(t);
    pthread_mutex_lock(&f->lock);
    int error = write_out(f);
    pthread_mutex_unlock(&f->lock);
    unpark(t);
    return error ? fail(t, strerror(error), NIL) : UNSPECIFIED;
}

value port_flush(struct thread *t, value *port) { return is_file_port(*port) ? flush(t, file_of(*port)) : UNSPECIFIED; }

value port_close(struct thread *t, value *port)
{
    if (!is_file_port(*port) || (port_flags(*port) & PORT_CLOSED))
        return UNSPECIFIED;
    struct file *f = file_of(*port);
    slots(*port)[PORT_FLAGS] = fixnum(port_flags(*port) | PORT_CLOSED);
    value result = flush(t, f);
    if (f->fd > 2)
        close(f->fd);
    text_free(&f->in);
    text_free(&f->out);
    f->used = false;
    return result;
}

/* A string port's characters; it grows by doubling. */
static value append_string(struct thread *t, value *port, const char *text, size_t length)
{
    size_t used = fixnum_value(slots(*port)[PORT_POSITION]);
    bool binary = port_flags(*port) & PORT_BINARY;
    size_t size = binary ? 1 : 4, room = length_of(slots(*port)[PORT_BUFFER]) / size;
    if (used + length > room) {
        value grown = allocate(t, binary ? BYTEVECTOR : STRING, (2 * room + length) * size);
        memcpy(bytes(grown), bytes(slots(*port)[PORT_BUFFER]), used * size);
        slots(*port)[PORT_BUFFER] = grown;
    }
    value buffer = slots(*port)[PORT_BUFFER];
    if (binary) {
        memcpy(byte_data(buffer) + used, text, length);
        used += length;
    } else {
        for (const char *end = text + length; text < end;)
            string_chars(buffer)[used++] = utf8_decode(&text, end);
    }
    slots(*port)[PORT_POSITION] = fixnum(used);
    return UNSPECIFIED;
}

value port_write(struct thread *t, value *port, const char *text, size_t length)
{
    if (!is_file_port(*port))
        return append_string(t, port, text, length);
    struct file *f = file_of(*port);
    pthread_mutex_lock(&f->lock);
    text_add(&f->out, text, length);
    bool due = f->out.length > FLUSH_BYTES || (f->eager && memchr(text, '\n', length));
    pthread_mutex_unlock(&f->lock);
    return due ? flush(t, f) : UNSPECIFIED;
}

bool port_fill(struct thread *t, value *port)
{
    struct file *f = file_of(*port);
    char buffer[8192];
    if (f->consumed) {
        memmove(f->in.data, f->in.data + f->consumed, f->in.length - f->consumed);
        f->in.length -= f->consumed;
        f->consumed = 0;
    }
    park(t);
    ssize_t n;
    do
        n = read(f->fd, buffer, sizeof(buffer));
    while (n < 0 && errno == EINTR);
    unpark(t);
    if (n <= 0)
        return false;
    text_add(&f->in, buffer, n);
    return true;
}

void port_window(value port, const char **at, const char **end)
{
    struct file *f = file_of(port);
    *at = f->in.data + f->consumed;
    *end = f->in.data + f->in.length;
}

void port_consume(value port, const char *to) { file_of(port)->consumed = to - file_of(port)->in.data; }

int port_byte(struct thread *t, value *port, bool consume)
{
    struct file *f = file_of(*port);
    if (f->consumed == f->in.length && !port_fill(t, port))
        return -1;
    int byte = (unsigned char)f->in.data[f->consumed];
    f->consumed += consume;
    return byte;
}
