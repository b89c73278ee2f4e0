address_CFLAGS := -D_GNU_SOURCE -Iapps/address
