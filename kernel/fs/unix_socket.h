/*
 * Local sockets: stream, datagram, seqpacket (unix(7)), and TCP and UDP over the loopback addresses, which differ only
 * in their names and in some errors (inet_socket.c; ip(7), tcp(7), udp(7)).
 *
 *     client  --peer-->  server side          each holds a reference to the other's struct until its own file is closed
 *        messages <--------- send             what was sent waits in the receiver's list
 *     listener: backlog = server sides that accept(2) has not taken yet
 *
 * Locks: unix_lock (mutex: names, peers, backlogs, states) -> socket->lock (mutex: messages). One socket's lock at a
 * time.
 */
#ifndef FS_UNIX_SOCKET_H
#define FS_UNIX_SOCKET_H

#include "fs/path.h"

#define AF_UNIX 1
#define AF_INET 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#define UNIX_PATH_MAX 108
#define SOCKET_BUFFER 212992 /* bytes that may wait in one socket */
#define SOCKET_MESSAGES 512u /* that wait in one socket */
#define SHUT_READ 1
#define SHUT_WRITE 2
#define MAX_RIGHTS 253 /* descriptors in one message */

#define MSG_OOB 1 /* not supported */
#define MSG_PEEK 2
#define MSG_CTRUNC 8
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_EOR 0x80
#define MSG_WAITALL 0x100
#define MSG_ERRQUEUE 0x2000
#define MSG_NOSIGNAL 0x4000
#define MSG_WAITFORONE 0x10000
#define MSG_CMSG_CLOEXEC 0x40000000

struct unix_name {   /* as in struct sockaddr_un; abstract ones begin with NUL. AF_INET: a struct inet_address */
    unsigned length; /* 0: none */
    char path[UNIX_PATH_MAX];
};

struct unix_cred { /* the ABI's struct ucred */
    s32 pid;
    u32 uid, gid;
};

struct message {
    struct list link;
    size_t length, offset; /* bytes from OFFSET are unread */
    struct unix_cred cred;
    struct unix_name from;
    unsigned n_files;
    struct file **files; /* referenced */
    /* unix_flight.c: */
    struct unix_socket *holder; /* in whose list it waits, while it carries files */
    struct list carrier_link;
    char data[];
};

enum unix_state { UNIX_IDLE, UNIX_LISTENING, UNIX_CONNECTED };

/* What is only remembered: setsockopt(2) sets it, getsockopt(2) shows it. */
#define SOCKET_OPTIONS 24
struct socket_options {
    s32 value[SOCKET_OPTIONS];
    s32 linger[2];
};

struct unix_socket {
    u32 refs;
    unsigned family, type;
    enum unix_state state;    /* unix_lock */
    struct unix_socket *peer; /* referenced; unix_lock */
    bool closed;              /* its file is gone */
    unsigned shut;            /* SHUT_*; unix_lock */
    bool pass_cred, reuse_address, free_bind;
    bool is_connecting; /* TCP: a connect has said EINPROGRESS, the next one tells the result; unix_lock */
    s32 error; /* a positive errno that the next call reports: the peer closed with data unread, nobody listens */
    u64 receive_timeout, send_timeout; /* ns; 0: none */
    struct socket_options options;
    struct file *file;            /* its own; NULL before accept(2) */
    struct unix_socket *listener; /* in whose backlog it waits; flight lock, as the next three */
    u32 in_flight;                /* messages that carry FILE */
    struct list flight_link;      /* while there are such */
    bool is_reachable;            /* the collector's */
    struct unix_name peer_name;   /* UDP: whom it is connected to; unix_lock */
    struct unix_cred cred, peer_cred;
    struct unix_name name;
    struct inode *inode; /* of a bound path, referenced */
    struct list bound_link;
    struct list all_link; /* while its file is open; unix_lock */
    struct list backlog, backlog_link;
    unsigned backlog_count, backlog_max;
    struct mutex lock;
    struct list messages;
    size_t queued;       /* bytes in them */
    u32 send_buffer;     /* SO_SNDBUF: bytes under way */
    u32 receive_buffer;  /* SO_RCVBUF: told, but a sender's limit is what counts */
    unsigned n_messages; /* lock */
    struct wait_queue readable, writable;
};

/* Whether S takes one more message from a sender who may have LIMIT bytes under way: the last one may go beyond it. What
 * messages cost beside their bytes is bounded by their number. */
static inline bool unix_has_room(const struct unix_socket *s, u32 limit)
{
    return load_relaxed(&s->n_messages) < SOCKET_MESSAGES && load_relaxed(&s->queued) < limit;
}
/* Whether poll(2) says so: who was refused is called when there is room for much, not at each read. */
static inline bool unix_has_much_room(const struct unix_socket *s, u32 limit)
{
    return load_relaxed(&s->n_messages) <= SOCKET_MESSAGES / 4 && load_relaxed(&s->queued) <= limit / 4;
}

/* unix_socket.c */
/* Calls FN for every socket that has a file. => unix_lock, which FN must not let go */
void unix_for_each(void (*fn)(struct unix_socket *s, void *arg), void *arg);
bool file_is_socket(const struct file *file);
static inline struct unix_socket *file_socket(const struct file *file) { return file->private; }
struct file *unix_create(unsigned family, unsigned type, u32 flags); /* O_NONBLOCK */
int unix_pair(unsigned type, u32 flags, struct file *files[2]);
int unix_listen(struct unix_socket *s, int backlog);
int unix_connect(struct unix_socket *s, const struct unix_name *name, bool wait);
struct file *unix_accept(struct unix_socket *s, u32 flags, bool wait);
int unix_shutdown(struct unix_socket *s, int how);
/* The peer, referenced: NULL, none. */
struct unix_socket *unix_get_peer(struct unix_socket *s);
void unix_forget_peer(struct unix_socket *s, struct unix_socket *peer); /* if it is PEER still */
extern struct mutex unix_lock;
/* Connects S, a stream, with the listener L, whose reference is taken over; the other side will be called NAME. */
int unix_connect_to(struct unix_socket *s, struct unix_socket *l, const struct unix_name *name, bool wait);
/* S's error, negative, which is none from now on. */
static inline int unix_take_error(struct unix_socket *s) { return -(int)atomic_swap(&s->error, 0); }
static inline u64 deadline_in(u64 timeout) { return timeout == 0 ? NO_DEADLINE : time_ns() + timeout; }
void unix_put(struct unix_socket *s);
bool unix_at_end(struct unix_socket *s); /* no more messages will come */

/* unix_name.c */
int unix_bind(struct unix_socket *s, const struct unix_name *name);
/* The bound socket of NAME, referenced, of the right type: ERR_PTR(-ECONNREFUSED, -EPROTOTYPE...). */
struct unix_socket *unix_find(const struct unix_name *name, unsigned type);

/* unix_message.c */
struct unix_send {
    const struct unix_name *to; /* NULL: the peer */
    struct file **files;        /* their references are taken over on success */
    unsigned n_files;
    bool wait, no_signal;
};
ssize_t unix_send(struct unix_socket *s, struct uio *uio, struct unix_send *send);
struct unix_receive {
    bool wait, peek;
    size_t full_length;    /* out: of the datagram */
    struct unix_name from; /* out */
    struct unix_cred cred;
    struct file **files; /* out: the caller's now; kfree */
    unsigned n_files;
};
ssize_t unix_receive(struct unix_socket *s, struct uio *uio, struct unix_receive *receive);
void message_free(struct message *m);
void unix_drop_messages(struct unix_socket *s);
/* The same of all that wait in its backlog. */
void unix_drop_backlog_messages(struct unix_socket *s);

/* unix_flight.c: files on their way. M, with files, has been put into HOLDER's list; is being taken out of it. */
void flight_begin(struct message *m, struct unix_socket *holder);
void flight_end(struct message *m);
/* Further references to the files that M carries, as if they came out: no collection sees one half of that. */
void flight_copy(struct message *m, struct file **files);
/* S waits in LISTENER's backlog (NULL: no longer). */
void flight_set_listener(struct unix_socket *s, struct unix_socket *listener);
/* Whether the caller's user may send more: -ETOOMANYREFS when more files of his are under way than he may have open. */
int flight_admit(void);
/* Closes sockets that only messages in sockets of their own kind refer to. => no locks */
void flight_collect(void);

/* inet_socket.c */
struct inet_address { /* host byte order */
    u32 address;
    u16 port, zero;
};
struct unix_name inet_name(u32 address, u16 port);
struct inet_address inet_address(const struct unix_name *name);
int inet_bind(struct unix_socket *s, const struct unix_name *name);
int inet_before_listen(struct unix_socket *s); /* a port, if it has none; -EADDRINUSE */
/* NAME NULL: UDP, nobody any more. */
int inet_connect(struct unix_socket *s, const struct unix_name *name, bool wait);
/* Where a datagram goes: referenced, NULL when nobody is there and it gets lost, or ERR_PTR. */
struct unix_socket *inet_destination(struct unix_socket *s, const struct unix_name *to);
/* From where a datagram of S comes. */
struct unix_name inet_source(const struct unix_socket *s);

#endif
