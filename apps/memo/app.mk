# One source; libm is there anyway.
