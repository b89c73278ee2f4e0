/* Loads and stores of little- and big-endian integers for disk formats. The machine is little-endian. */
#ifndef LIB_ENDIAN_H
#define LIB_ENDIAN_H

#include "lib/types.h"

static inline u16 from_le16(le16 v) { return v; }
static inline u32 from_le32(le32 v) { return v; }
static inline u64 from_le64(le64 v) { return v; }
static inline le16 to_le16(u16 v) { return v; }
static inline le32 to_le32(u32 v) { return v; }
static inline le64 to_le64(u64 v) { return v; }
static inline u16 from_be16(be16 v) { return __builtin_bswap16(v); }
static inline u32 from_be32(be32 v) { return __builtin_bswap32(v); }
static inline be16 to_be16(u16 v) { return __builtin_bswap16(v); }
static inline be32 to_be32(u32 v) { return __builtin_bswap32(v); }

#endif
