#include "base/blob.h"
#include <assert.h>
#include "base/mem.h"

static _Thread_local int64_t bytes_held;

int64_t blob_bytes_held(void)
{
    return bytes_held;
}

struct blob *blob_new(uint32_t len)
{
    struct blob *b = mem_alloc(sizeof(*b) + len);
    b->refs = 1;
    b->len = b->room = len;
    bytes_held += (int64_t)sizeof(*b) + len;
    return b;
}

struct blob *blob_of(struct str bytes)
{
    assert(bytes.len <= UINT32_MAX);
    struct blob *b = blob_new((uint32_t)bytes.len);
    if (bytes.len)
        memcpy(b->bytes, bytes.p, bytes.len);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    b->refs++;
    return b;
}

void blob_unref(struct blob *b)
{
    assert(b->refs);
    if (--b->refs)
        return;
    bytes_held -= (int64_t)sizeof(*b) + b->room;
    mem_free(b);
}
