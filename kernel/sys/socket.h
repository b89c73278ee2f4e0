/* What the socket calls share. */
#ifndef SYS_SOCKET_H
#define SYS_SOCKET_H

#include "fs/unix_socket.h"

#define SOL_SOCKET 1
#define IPPROTO_IP 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

/* The socket of FD with a reference to its file: ERR_PTR(-EBADF, -ENOTSOCK). */
struct file *socket_get(u64 fd);
/* FLAGS: MSG_*. */
static inline bool socket_may_wait(const struct file *file, unsigned flags)
{
    return !(file->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
}
/* The address of S's family at USER, LENGTH bytes: -EINVAL, -EFAULT, -EAFNOSUPPORT. */
int socket_name_from_user(const struct unix_socket *s, struct unix_name *name, u64 user, u64 length);
/* Where a message came from, for USER, as much as the u32 at USER_LENGTH has room for, and its length; TCP does not
 * say: length 0. -EFAULT, -EINVAL. */
int socket_source_to_user(const struct unix_socket *s, const struct unix_name *from, u64 user, u64 user_length);

#endif
