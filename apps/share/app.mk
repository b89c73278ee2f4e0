# One program of the three sources here.
