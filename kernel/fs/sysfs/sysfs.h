/* /sys: the few files of sysfs(5) that ordinary programs read. */
#ifndef FS_SYSFS_SYSFS_H
#define FS_SYSFS_SYSFS_H

void sysfs_init(void); /* boot: before it is mounted */

#endif
