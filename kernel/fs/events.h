/* eventfd(2) and timerfd_create(2), below their system calls. */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include "fs/vfs.h"

struct file *eventfd_create(u32 count, bool semaphore, u32 flags); /* O_NONBLOCK */

struct timer_setting { /* the ABI's struct itimerspec */
    struct timespec64 interval, value;
};
struct file *timerfd_create(int clock, u32 flags); /* the clock's number as the program knows it */
bool file_is_timerfd(const struct file *file);
#define TFD_TIMER_ABSTIME 1
#define TFD_TIMER_CANCEL_ON_SET 2
/* -ECANCELED: it is set, but the wall clock was set since a setting with TFD_TIMER_CANCEL_ON_SET before this one. */
int timerfd_set(struct file *file, u32 flags, const struct timer_setting *setting, struct timer_setting *old);
void timerfds_wall_clock_was_set(void);
void timerfd_get(struct file *file, struct timer_setting *now);

/* userfaultfd(2): ERR_PTR(-EPERM, -EINVAL, -ENOMEM). TRUSTED: who asks may handle the kernel's faults, too. */
struct userfault;
struct file *userfaultfd_create(u32 flags, bool trusted);
/* vm.unprivileged_userfaultfd */
extern bool userfaultfd_is_for_all;

#endif
