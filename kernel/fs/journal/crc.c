/*
 * The two checksums of journals: CRC-32C, reflected (versions 2 and 3), and CRC-32, most significant bit first (version
 * 1). By tables of 256 words, made at the first use.
 */
#include "fs/journal/internal.h"

#define CRC32C_POLYNOMIAL 0x82F63B78u
#define CRC32_POLYNOMIAL 0x04C11DB7u

static u32 crc32c_table[256], crc32_table[256];

void journal_crc_init(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 low = i, high = i << 24;

        for (unsigned bit = 0; bit < 8; bit++) {
            low = low >> 1 ^ (low & 1 ? CRC32C_POLYNOMIAL : 0);
            high = high << 1 ^ (high >> 31 ? CRC32_POLYNOMIAL : 0);
        }
        crc32c_table[i] = low;
        crc32_table[i] = high;
    }
}

u32 journal_crc32c(u32 crc, const void *data, size_t n)
{
    const u8 *p = data;

    while (n-- > 0)
        crc = crc >> 8 ^ crc32c_table[(crc ^ *p++) & 0xff];
    return crc;
}

u32 journal_crc32(u32 crc, const void *data, size_t n)
{
    const u8 *p = data;

    while (n-- > 0)
        crc = crc << 8 ^ crc32_table[crc >> 24 ^ *p++];
    return crc;
}
