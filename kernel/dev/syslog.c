/*
 * Kernel messages as text lines for syslog(2) and /proc/kmsg. Lock: reading (a mutex) guards the positions.
 */
#include "dev/syslog.h"
#include "lib/errno.h"
#include "lib/kmsg.h"
#include "lib/print.h"
#include "lib/string.h"
#include "sched/wait.h"
#include "vm/kmalloc.h"

#define PREFIX_SIZE 64
#define LINE_SIZE (PREFIX_SIZE + KMSG_MAX_LENGTH)
#define FACILITY_KERNEL 0

static struct mutex reading = MUTEX_INIT(reading);
static u64 next_unread, cleared_before;

/* Record *SEQUENCE, or the oldest after it, as a line: its length, 0 when there is none. *SEQUENCE: the next one. */
static size_t format_record(u64 *sequence, char *line)
{
    struct kmsg_record r;
    char *text = line + PREFIX_SIZE;
    size_t n;

    /* The text first, with room for what goes before it. */
    if (!kmsg_read(*sequence, &r, text, KMSG_MAX_LENGTH))
        return 0;
    *sequence = r.sequence + 1;
    n = (size_t)snprintf(line, PREFIX_SIZE, "<%u>[%5lu.%06lu] ", FACILITY_KERNEL | r.level, r.time_ns / NSEC_PER_SEC,
                         r.time_ns % NSEC_PER_SEC / NSEC_PER_USEC);
    memmove(line + n, text, r.length);
    n += r.length;
    line[n++] = '\n';
    return n;
}

bool syslog_has_unread(void) { return kmsg_next() > load_relaxed(&next_unread); }

/* => reading */
static ssize_t read_unread(struct uio *uio, char *line)
{
    ssize_t done = 0;
    u64 sequence = next_unread;
    size_t n;

    while ((n = format_record(&sequence, line)) > 0 && n <= uio->left) {
        if (uio_copy_out(uio, line, n) != n)
            return done > 0 ? done : -EFAULT;
        done += (ssize_t)n;
        next_unread = sequence;
    }
    /* A line longer than the buffer is cut rather than never delivered. */
    if (done == 0 && n > uio->left) {
        done = (ssize_t)uio_copy_out(uio, line, uio->left);
        next_unread = sequence;
    }
    return done;
}

ssize_t syslog_read(struct uio *uio, bool non_block)
{
    char *line = kmalloc(LINE_SIZE);
    ssize_t n = 0;

    if (line == NULL)
        return -ENOMEM;
    while (n == 0 && uio->left > 0) {
        if (!syslog_has_unread()) {
            if (non_block)
                n = -EAGAIN;
            else if (wait_event_interruptible(&kmsg_readers, syslog_has_unread()) != 0)
                n = -ERESTARTSYS;
        }
        if (n == 0) {
            mutex_lock(&reading);
            n = read_unread(uio, line);
            mutex_unlock(&reading);
        }
    }
    kfree(line);
    return n;
}

/* How many bytes the records from SEQUENCE on are as lines. */
static size_t count_bytes(u64 sequence, char *line)
{
    size_t sum = 0, n;

    while ((n = format_record(&sequence, line)) > 0)
        sum += n;
    return sum;
}

ssize_t syslog_read_all(struct uio *uio, bool clear)
{
    char *line = kmalloc(LINE_SIZE);
    ssize_t done = 0;
    u64 sequence;
    size_t sum, n;

    if (line == NULL)
        return -ENOMEM;
    mutex_lock(&reading);
    sequence = cleared_before;
    for (sum = count_bytes(sequence, line); sum > uio->left; sum -= MIN(sum, n))
        if ((n = format_record(&sequence, line)) == 0)
            break;
    while (done >= 0 && (n = format_record(&sequence, line)) > 0 && n <= uio->left)
        done = uio_copy_out(uio, line, n) == n ? done + (ssize_t)n : -EFAULT;
    if (clear && done >= 0)
        cleared_before = kmsg_next();
    mutex_unlock(&reading);
    kfree(line);
    return done;
}

void syslog_clear(void)
{
    mutex_lock(&reading);
    cleared_before = kmsg_next();
    mutex_unlock(&reading);
}

size_t syslog_unread_bytes(void)
{
    char *line = kmalloc(LINE_SIZE);
    size_t n = 0;

    if (line == NULL)
        return 0;
    mutex_lock(&reading);
    n = count_bytes(next_unread, line);
    mutex_unlock(&reading);
    kfree(line);
    return n;
}
