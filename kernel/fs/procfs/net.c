/*
 * /proc/net (proc_pid_net(5)): the sockets that exist. Programs that tell who has one open (fuser, lsof, netstat) find
 * it by its inode's number, which /proc/PID/fd shows, too. Addresses of the kernel are not told: their column is zero.
 *
 * Lock: unix_lock while the text is made.
 */
#include "fs/procfs/internal.h"
#include "fs/unix_socket.h"
#include "lib/string.h"

#define ACCEPTS_CONNECTIONS 0x10000u
enum { UNCONNECTED = 1, CONNECTED = 3 };                            /* what /proc/net/unix calls states */
enum { TCP_ESTABLISHED = 1, UDP_UNCONNECTED = 7, TCP_LISTEN = 10 }; /* and the others */
#define TCP_WIDTH 149
#define UDP_WIDTH 127

struct table {
    struct seq *s;
    unsigned type, lines;
};

/* ---- local sockets ---- */

static void show_name(struct seq *s, const struct unix_name *name)
{
    seq_puts(s, " ");
    for (unsigned i = 0; i < name->length && (i == 0 || name->path[0] == '\0' || name->path[i] != '\0'); i++)
        seq_write(s, name->path[i] == '\0' ? "@" : &name->path[i], 1);
}

static void show_local(struct unix_socket *s, void *arg)
{
    struct table *t = arg;

    if (s->family != AF_UNIX)
        return;
    seq_printf(t->s, "%016x: %08X %08X %08X %04X %02X %5lu", 0, load_relaxed(&s->refs), 0,
               s->state == UNIX_LISTENING ? ACCEPTS_CONNECTIONS : 0, s->type,
               s->state == UNIX_CONNECTED ? CONNECTED : UNCONNECTED, s->file->inode->ino);
    if (s->name.length != 0)
        show_name(t->s, &s->name);
    seq_puts(t->s, "\n");
}

static int show_unix(struct seq *s, const struct proc_target *t)
{
    struct table table = {.s = s};

    seq_puts(s, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    mutex_lock(&unix_lock);
    unix_for_each(show_local, &table);
    mutex_unlock(&unix_lock);
    return 0;
}

/* ---- TCP and UDP ---- */

/* As a program would print the four bytes that lie in a struct sockaddr_in, taken for a number. */
static u32 as_it_lies(u32 address) { return __builtin_bswap32(address); }

static bool is_shown(const struct unix_socket *s, unsigned type)
{
    return s->family == AF_INET && s->type == type && s->name.length != 0 &&
           (type == SOCK_DGRAM || s->state == UNIX_LISTENING || s->peer != NULL);
}

static void show_inet(struct unix_socket *s, void *arg)
{
    struct table *t = arg;
    struct inet_address own = inet_address(&s->name),
                        other = inet_address(s->peer != NULL ? &s->peer->name : &s->peer_name);
    bool listens = s->state == UNIX_LISTENING, is_tcp = s->type == SOCK_STREAM;
    size_t start = t->s->length;

    if (!is_shown(s, t->type))
        return;
    seq_printf(t->s, is_tcp ? "%4u: " : "%5u: ", t->lines++);
    seq_printf(t->s, "%08X:%04X %08X:%04X %02X %08X:%08X 00:00000000 00000000 %5u        0 %lu %u %016x",
               as_it_lies(own.address), own.port, as_it_lies(other.address), other.port,
               listens                      ? TCP_LISTEN
               : is_tcp                     ? TCP_ESTABLISHED
               : s->state == UNIX_CONNECTED ? TCP_ESTABLISHED
                                            : UDP_UNCONNECTED,
               0, listens ? s->backlog_count : (u32)load_relaxed(&s->queued), s->cred.uid, s->file->inode->ino,
               load_relaxed(&s->refs), 0);
    seq_puts(t->s, is_tcp ? " 0 0 0 0 0" : " 0");
    seq_pad(t->s, start, is_tcp ? TCP_WIDTH : UDP_WIDTH);
    seq_puts(t->s, "\n");
}

static int show_inet_table(struct seq *s, unsigned type, const char *head)
{
    struct table table = {.s = s, .type = type};

    seq_puts(s, head);
    seq_pad(s, 0, type == SOCK_STREAM ? TCP_WIDTH : UDP_WIDTH);
    seq_puts(s, "\n");
    mutex_lock(&unix_lock);
    unix_for_each(show_inet, &table);
    mutex_unlock(&unix_lock);
    return 0;
}

static int show_tcp(struct seq *s, const struct proc_target *t)
{
    return show_inet_table(
        s, SOCK_STREAM,
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode");
}

static int show_udp(struct seq *s, const struct proc_target *t)
{
    return show_inet_table(
        s, SOCK_DGRAM,
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode "
        "ref pointer drops");
}

const struct proc_entry net_entries[] = {
    PROC_FILE("tcp", 0444, show_tcp),
    PROC_FILE("udp", 0444, show_udp),
    PROC_FILE("unix", 0444, show_unix),
    {0},
};
