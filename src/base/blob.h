/* blob.h - bytes that several sockets of one worker send: counted, never changed once shared. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H
#include <stdint.h>
#include "base/str.h"

struct blob {
    uint32_t refs; /* one worker's: no atomics */
    uint32_t len;
    uint32_t room; /* of bytes: what blob_new was asked for; an owner may begin with less */
    char bytes[];
};

/* A part of one; whoever keeps it has a reference. */
struct blob_range {
    struct blob *blob;
    uint32_t from, to;
};

struct blob *blob_new(uint32_t len);    /* uninitialised, one reference */
struct blob *blob_of(struct str bytes); /* a copy */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b);

/* The memory of all blobs that this thread has made, less those that it has let go of last. */
int64_t blob_bytes_held(void);

#endif
