# Turns `nm -n` of the kernel into the symbol table that arch/riscv/symbols.c reads: the functions' offsets from image_start in ascending
# order, where each name begins, and the names.

BEGIN {
    n = start = 0
    print ".section .symbol_table, \"a\""
}

NF == 3 && length($1) == 16 && $2 ~ /^[tT]$/ && $3 !~ /^[.$]/ && $3 != "image_start" && $3 != "text_end" {
    if ($1 == last)
        next
    last = $1
    address[n] = $1
    name[n++] = $3
}

END {
    print ".balign 8\n.globl symbol_count, symbol_offsets, symbol_name_starts, symbol_names"
    print "symbol_count: .word " n + 0
    print "symbol_offsets:"
    for (i = 0; i < n; i++)
        print ".word 0x" substr(address[i], 9) " - 0x80000000"
    print "symbol_name_starts:"
    for (i = 0; i < n; i++) {
        print ".word " start
        start += length(name[i]) + 1
    }
    print ".word " start + 0
    print "symbol_names:"
    for (i = 0; i < n; i++)
        print ".asciz \"" name[i] "\""
    print ".balign 8"
}
