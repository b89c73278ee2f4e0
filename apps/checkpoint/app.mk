checkpoint_CFLAGS := -D_GNU_SOURCE -Iapps/checkpoint
