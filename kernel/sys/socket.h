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

#endif
