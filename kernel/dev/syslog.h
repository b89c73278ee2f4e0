/* The one reader position that syslog(2) and /proc/kmsg share: what one has read, the other does not get. */
#ifndef DEV_SYSLOG_H
#define DEV_SYSLOG_H

#include "vm/uio.h"

/* Messages not yet read, as "<level>[seconds.micros] text" lines; waits for one unless NON_BLOCK. Bytes, -EAGAIN,
 * -ERESTARTSYS, -EFAULT. */
ssize_t syslog_read(struct uio *uio, bool non_block);
bool syslog_has_unread(void);
/* The newest messages since the last clear that fit into the uio: bytes. CLEAR: the next call starts behind them. */
ssize_t syslog_read_all(struct uio *uio, bool clear);
void syslog_clear(void);
size_t syslog_unread_bytes(void);

#endif
