/* What of the format's options is known, and the journal's state: may this disk be mounted, and may it be written to?
 */
#ifndef FS_EXT3_FEATURES_H
#define FS_EXT3_FEATURES_H

#include "fs/ext3/ext3.h"

/* 0; -EINVAL (unknown features, told by name), -EUCLEAN (the journal needs recovery). Makes the super read-only where
 * the format asks for that. */
int ext3_check_features(struct ext3 *fs, const struct ext3_disk_super *d);
/* The journal must be empty: 0, -EUCLEAN, -EIO. */
int ext3_check_journal(struct ext3 *fs);
/* Whether a remount for writing is fine. */
bool ext3_may_write(const struct ext3 *fs);

#endif
