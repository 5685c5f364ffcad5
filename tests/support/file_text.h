/* file_text.h - the whole of a file, for tests that read vectors. */
#ifndef TESTS_FILE_TEXT_H
#define TESTS_FILE_TEXT_H
#include <stdio.h>
#include "base/buf.h"

/* Appends it. False: it cannot be opened. */
static inline bool file_text(struct buf *out, const char *path)
{
    FILE *in = fopen(path, "rb");
    size_t n;
    if (!in)
        return false;
    while ((n = fread(buf_reserve(out, 65536), 1, 65536, in)) > 0)
        out->len += n;
    fclose(in);
    return true;
}

#endif
