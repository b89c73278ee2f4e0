/* Which function an address belongs to, by the table that symbols.awk made: offsets from image_start in ascending
 * order. */
#include "arch/riscv/internal.h"

extern const u32 symbol_count, symbol_offsets[], symbol_name_starts[];
extern const char symbol_names[];

const char *symbol_find(u64 address, u64 *offset)
{
    u32 low = 0, high = symbol_count, wanted;

    if (!is_kernel_text(address) || symbol_count == 0)
        return NULL;
    wanted = (u32)(address - (u64)image_start);
    if (wanted < symbol_offsets[0])
        return NULL;
    while (high - low > 1) {
        u32 middle = low + (high - low) / 2;

        if (symbol_offsets[middle] <= wanted)
            low = middle;
        else
            high = middle;
    }
    *offset = wanted - symbol_offsets[low];
    return symbol_names + symbol_name_starts[low];
}
