/* What of the format's options is known: may this disk be mounted, and may it be written to? */
#ifndef FS_EXT3_FEATURES_H
#define FS_EXT3_FEATURES_H

#include "fs/ext3/ext3.h"

/* 0; -EINVAL (unknown features, told by name). Makes the super read-only where
 * the format asks for that. */
int ext3_check_features(struct ext3 *fs, const struct ext3_disk_super *d);
/* Whether a remount for writing is fine. */
bool ext3_may_write(const struct ext3 *fs);

#endif
