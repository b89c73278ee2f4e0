/* Signals for input and output. Source: fcntl(2), "Managing signals". */
#ifndef FS_ASYNC_H
#define FS_ASYNC_H

#include "fs/vfs.h"
#include "proc/signal.h"

bool async_is_possible(const struct file *file);
/* O_ASYNC of a pipe, socket or terminal, opened as FD; others have none, and keep it off: 0, -ENOMEM. */
int async_switch(struct file *file, int fd, bool on);
/* NUMBER 0: nobody. 0, -ESRCH, -ENOMEM. */
int async_set_owner(struct file *file, enum signal_target_kind kind, int number);
int async_get_owner(struct file *file, enum signal_target_kind *kind); /* 0: nobody */
int async_set_signal(struct file *file, int signal);                   /* 0: SIGIO. 0, -ENOMEM */
int async_get_signal(const struct file *file);
void async_release(struct file *file); /* => file->async, and nobody uses the file any more */

#endif
