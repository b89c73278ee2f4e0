/* eventfd(2) and timerfd_create(2), below their system calls. */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include "fs/vfs.h"

struct file *eventfd_create(u32 count, bool semaphore, u32 flags); /* O_NONBLOCK */

struct timer_setting { /* the ABI's struct itimerspec */
    struct timespec64 interval, value;
};
struct file *timerfd_create(bool realtime, u32 flags);
bool file_is_timerfd(const struct file *file);
void timerfd_set(struct file *file, bool absolute, const struct timer_setting *setting, struct timer_setting *old);
void timerfd_get(struct file *file, struct timer_setting *now);

/* userfaultfd(2): ERR_PTR(-EPERM, -EINVAL, -ENOMEM). TRUSTED: who asks may handle the kernel's faults, too. */
struct userfault;
struct file *userfaultfd_create(u32 flags, bool trusted);
/* vm.unprivileged_userfaultfd */
extern bool userfaultfd_is_for_all;

#endif
