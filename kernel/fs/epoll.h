/* epoll(7), on kernel copies of its structures. */
#ifndef FS_EPOLL_H
#define FS_EPOLL_H

#include "fs/vfs.h"

struct epoll_event { /* the ABI's: not packed on riscv64 */
    u32 events;
    u64 data;
};
static_assert(sizeof(struct epoll_event) == 16, "the ABI's struct epoll_event");

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define EPOLLEXCLUSIVE BIT(28)
#define EPOLLWAKEUP BIT(29)
#define EPOLLONESHOT BIT(30)
#define EPOLLET BIT(31)

struct file *epoll_create(void);
bool file_is_epoll(const struct file *file);
int epoll_control(struct file *epoll, int operation, int fd, struct file *file, const struct epoll_event *event);
/* Up to N events to USER_EVENTS: how many, 0 at the deadline (monotonic; 0: do not wait), -EINTR, -EFAULT. */
long epoll_wait_events(struct file *epoll, struct epoll_event *user_events, unsigned n, u64 deadline);

#endif
