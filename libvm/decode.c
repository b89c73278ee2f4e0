/*
 * RISC-V: whether an instruction that faulted was loading or storing, for kernels that do not say so in a signal's
 * frame.
 *
 * Source: The RISC-V Instruction Set Manual, Volume I, "RV32/64G Instruction Set Listings" and "RVC Instruction Set
 * Listings"; Zcb of "Zc*"; cbo.zero of "CMO".
 */
#include "internal.h"

enum {
    OPCODE_LOAD_FP = 0x07, /* vector loads too */
    OPCODE_MISC_MEM = 0x0f,
    OPCODE_STORE = 0x23,
    OPCODE_STORE_FP = 0x27, /* vector stores too */
    OPCODE_AMO = 0x2f,
};

#define FUNCT5_LR 0x02

size_t vm_decode_length(uint32_t instruction) { return (instruction & 3) == 3 ? 4 : 2; }

/* funct3 of the quadrants 0 and 2: 1 to 3 load, 5 to 7 store; 4 of quadrant 0 is Zcb's bytes and halves. */
static int compressed_access(uint32_t instruction)
{
    uint32_t quadrant = instruction & 3, funct3 = instruction >> 13 & 7;

    if (quadrant == 1)
        return VM_READ;
    if (quadrant == 0 && funct3 == 4)
        return (instruction >> 11 & 1) ? VM_WRITE : VM_READ;
    return funct3 > 4 ? VM_WRITE : VM_READ;
}

int vm_decode_access(uint32_t instruction)
{
    if (vm_decode_length(instruction) == 2)
        return compressed_access(instruction);
    switch (instruction & 0x7f) {
    case OPCODE_STORE:
    case OPCODE_STORE_FP:
    case OPCODE_MISC_MEM: /* cbo.zero */
        return VM_WRITE;
    case OPCODE_AMO:
        return instruction >> 27 == FUNCT5_LR ? VM_READ : VM_WRITE;
    default:
        return VM_READ;
    }
}
