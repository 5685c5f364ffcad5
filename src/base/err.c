#include "base/err.h"

const char *err_text(enum err e)
{
    switch (e) {
#define ERR_CASE(name, text)                                                                       \
    case ERR_##name:                                                                               \
        return text;
        ERR_MAP(ERR_CASE)
#undef ERR_CASE
    }
    return "unknown error";
}
