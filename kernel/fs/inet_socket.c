/*
 * Internet sockets over the loopback addresses, 127.0.0.0/8: their names, and who is found under one. There is no
 * network beyond: other destinations are ENETUNREACH, other own addresses EADDRNOTAVAIL (with IP_FREEBIND, names that
 * nobody reaches). What is sent travels as between local sockets (unix_message.c): nothing is lost on the way, only UDP
 * datagrams for which the receiver has no room.
 *
 *   a name        0.0.0.0 stands for every own address
 *   TCP           a listener is found by its port; the two sides of a connection are peers as in unix_socket.c
 *   UDP           the receiver is looked up for each datagram; connect(2) only notes the name
 *
 * Lock: unix_lock for names and the list of bound sockets. Sources: ip(7), tcp(7), udp(7), connect(2).
 */
#include "fs/unix_socket.h"
#include "lib/random.h"
#include "lib/string.h"
#include "proc/task.h"

#define LOOPBACK 0x7f000001u
#define ANY_ADDRESS 0u
#define FIRST_EPHEMERAL 32768u /* net.ipv4.ip_local_port_range */
#define LAST_EPHEMERAL 60999u
#define FIRST_UNPRIVILEGED 1024

static struct list bound = LIST_INIT(bound);

struct unix_name inet_name(u32 address, u16 port)
{
    struct inet_address a = {.address = address, .port = port};
    struct unix_name name = {.length = sizeof(a)};

    memcpy(name.path, &a, sizeof(a));
    return name;
}

struct inet_address inet_address(const struct unix_name *name)
{
    struct inet_address a = {0};

    if (name->length != 0)
        memcpy(&a, name->path, sizeof(a));
    return a;
}

static bool is_loopback(u32 address) { return address >> 24 == 127; }

/* ---- binding ---- */

/* Whether two sockets of one type cannot have these names at once (socket(7), SO_REUSEADDR). */
static bool conflicts(const struct unix_socket *a, const struct unix_socket *b, struct inet_address wanted)
{
    struct inet_address other = inet_address(&b->name);

    if (a == b || a->type != b->type || other.port != wanted.port)
        return false;
    if (other.address != wanted.address && other.address != ANY_ADDRESS && wanted.address != ANY_ADDRESS)
        return false;
    return !(a->reuse_address && b->reuse_address && b->state != UNIX_LISTENING);
}

/* => unix_lock */
static bool is_taken(const struct unix_socket *s, struct inet_address wanted)
{
    struct unix_socket *other;

    list_for_each(other, &bound, bound_link)
        if (conflicts(s, other, wanted))
            return true;
    return false;
}

/* A free port, or 0. => unix_lock */
static u16 choose_port(const struct unix_socket *s, u32 address)
{
    u32 count = LAST_EPHEMERAL - FIRST_EPHEMERAL + 1, start;

    random_bytes(&start, sizeof(start));
    for (u32 i = 0; i < count; i++) {
        struct inet_address a = {.address = address, .port = (u16)(FIRST_EPHEMERAL + (start + i) % count)};

        if (!is_taken(s, a))
            return a.port;
    }
    return 0;
}

/* S, which has no name, gets ADDRESS and PORT, 0 for any. => unix_lock */
static int bind_locked(struct unix_socket *s, u32 address, u16 port)
{
    if (port == 0)
        port = choose_port(s, address);
    if (port == 0 || is_taken(s, (struct inet_address){.address = address, .port = port}))
        return -EADDRINUSE;
    s->name = inet_name(address, port);
    list_add(&bound, &s->bound_link);
    return 0;
}

int inet_bind(struct unix_socket *s, const struct unix_name *name)
{
    struct inet_address a = inet_address(name);
    int error;

    if (a.address != ANY_ADDRESS && !is_loopback(a.address) && !s->free_bind)
        return -EADDRNOTAVAIL;
    if (a.port != 0 && a.port < FIRST_UNPRIVILEGED && !capable(current->cred, CAP_NET_BIND_SERVICE))
        return -EACCES;
    mutex_lock(&unix_lock);
    error = s->name.length != 0 ? -EINVAL : bind_locked(s, a.address, a.port);
    mutex_unlock(&unix_lock);
    return error;
}

/* => unix_lock */
static int autobind(struct unix_socket *s, u32 address) { return s->name.length != 0 ? 0 : bind_locked(s, address, 0); }

int inet_before_listen(struct unix_socket *s)
{
    struct unix_socket *other;
    int error;

    mutex_lock(&unix_lock);
    error = autobind(s, ANY_ADDRESS);
    /* Names may be shared, but only one listens. */
    list_for_each(other, &bound, bound_link)
        if (other->state == UNIX_LISTENING && conflicts(s, other, inet_address(&s->name)))
            error = -EADDRINUSE;
    mutex_unlock(&unix_lock);
    return error;
}

/* ---- finding ---- */

/* Who receives at A: the socket bound to just this address before one bound to all. => unix_lock */
static struct unix_socket *find(struct inet_address a, unsigned type)
{
    struct unix_socket *s, *found = NULL;

    list_for_each(s, &bound, bound_link) {
        struct inet_address own = inet_address(&s->name);

        if (s->type != type || own.port != a.port || s->closed || (type == SOCK_STREAM && s->state != UNIX_LISTENING))
            continue;
        if (own.address == a.address)
            return s;
        if (own.address == ANY_ADDRESS)
            found = s;
    }
    return found;
}

/* Whether S has a name that no packet can come from: IP_FREEBIND gives one that is not this machine's. => unix_lock */
static bool is_elsewhere(const struct unix_socket *s)
{
    u32 own = inet_address(&s->name).address;

    return own != ANY_ADDRESS && !is_loopback(own);
}

/* A destination as it is used: 0.0.0.0 is this machine. -ENETUNREACH */
static int resolve(const struct unix_socket *s, struct inet_address *a)
{
    if (a->address == ANY_ADDRESS)
        a->address = LOOPBACK;
    return is_loopback(a->address) && !is_elsewhere(s) ? 0 : -ENETUNREACH;
}

/* ---- connecting ---- */

/* => unix_lock */
static void fix_own_address(struct unix_socket *s)
{
    struct inet_address own = inet_address(&s->name);

    if (own.address == ANY_ADDRESS)
        s->name = inet_name(LOOPBACK, own.port);
}

static int connect_stream(struct unix_socket *s, struct inet_address to, bool wait)
{
    struct unix_name name = inet_name(to.address, to.port);
    struct unix_socket *l;
    int error;

    mutex_lock(&unix_lock);
    l = find(to, SOCK_STREAM);
    error = s->state != UNIX_IDLE ? -EISCONN : l == NULL ? -ECONNREFUSED : autobind(s, LOOPBACK);
    if (error == 0) {
        fix_own_address(s);
        atomic_add_relaxed(&l->refs, 1);
    }
    mutex_unlock(&unix_lock);
    if (error != 0)
        return error;
    error = unix_connect_to(s, l, &name, wait);
    return error == -EAGAIN && !wait ? -ECONNREFUSED : error;
}

/* The connection is there at once, or refused, but who does not wait learns it by poll, SO_ERROR or connect again. */
static int connect_later(struct unix_socket *s, struct inet_address to)
{
    bool was_connecting;
    int error;

    mutex_lock(&unix_lock);
    was_connecting = s->is_connecting;
    s->is_connecting = !was_connecting && s->state == UNIX_IDLE;
    mutex_unlock(&unix_lock);
    if (was_connecting)
        return unix_take_error(s);
    error = connect_stream(s, to, false);
    if (error == -ECONNREFUSED)
        store_relaxed(&s->error, ECONNREFUSED);
    return error == 0 || error == -ECONNREFUSED ? -EINPROGRESS : error;
}

static int connect_datagram(struct unix_socket *s, const struct unix_name *name)
{
    int error = 0;

    mutex_lock(&unix_lock);
    if (name != NULL)
        error = autobind(s, LOOPBACK);
    if (error == 0) {
        if (name != NULL)
            fix_own_address(s);
        s->peer_name = name != NULL ? *name : (struct unix_name){.length = 0};
        s->state = name != NULL ? UNIX_CONNECTED : UNIX_IDLE;
    }
    mutex_unlock(&unix_lock);
    return error;
}

int inet_connect(struct unix_socket *s, const struct unix_name *name, bool wait)
{
    struct unix_name resolved;
    struct inet_address to;
    int error;

    if (name == NULL)
        return s->type == SOCK_DGRAM ? connect_datagram(s, NULL) : -EINVAL;
    to = inet_address(name);
    mutex_lock(&unix_lock);
    error = resolve(s, &to);
    mutex_unlock(&unix_lock);
    if (error != 0)
        return error;
    if (s->type == SOCK_STREAM)
        return wait ? connect_stream(s, to, true) : connect_later(s, to);
    resolved = inet_name(to.address, to.port);
    return connect_datagram(s, &resolved);
}

/* ---- datagrams ---- */

struct unix_name inet_source(const struct unix_socket *s)
{
    struct inet_address own = inet_address(&s->name);

    return inet_name(own.address == ANY_ADDRESS ? LOOPBACK : own.address, own.port);
}

/* A connected socket receives from its peer alone. => unix_lock */
static bool accepts(const struct unix_socket *receiver, const struct unix_socket *sender)
{
    struct unix_name source = inet_source(sender);

    return receiver->peer_name.length == 0 || memcmp(receiver->peer_name.path, source.path, source.length) == 0;
}

struct unix_socket *inet_destination(struct unix_socket *s, const struct unix_name *to)
{
    struct unix_socket *found = NULL;
    struct inet_address a;
    int error;

    mutex_lock(&unix_lock);
    if (to == NULL)
        to = &s->peer_name;
    a = inet_address(to);
    error = to->length == 0 ? -EDESTADDRREQ : a.port == 0 ? -EINVAL : resolve(s, &a);
    if (error == 0)
        error = autobind(s, ANY_ADDRESS);
    if (error == 0) {
        found = find(a, SOCK_DGRAM);
        if (found == NULL && to == &s->peer_name)
            store_relaxed(&s->error, ECONNREFUSED); /* what the machine's ICMP answer would do */
        if (found != NULL && !accepts(found, s))
            found = NULL;
    }
    if (found != NULL)
        atomic_add_relaxed(&found->refs, 1);
    mutex_unlock(&unix_lock);
    return error != 0 ? ERR_PTR(error) : found;
}
