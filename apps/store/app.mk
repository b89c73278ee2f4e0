store_CFLAGS := -D_GNU_SOURCE -Iapps/store
