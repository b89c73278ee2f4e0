/* Inside fs/: building /dev. What drivers need is devfs_add in fs/vfs.h. */
#ifndef FS_DEVFS_H
#define FS_DEVFS_H

#include "fs/vfs.h"

void devfs_init(void);
/* mem.c, kmsg.c: the devices that need no hardware */
int mem_devices_add(void);
int kmsg_device_add(void);
int userfaultfd_device_add(void); /* fs/userfaultfd.c */

#endif
