#include "auth/ticket_kind.h"
#include "base/mem.h"

void tickets_free(struct tickets *t)
{
    if (t)
        t->kind->free(t);
}

enum err ticket_issue(struct tickets *t, struct str jwt, struct claims *c, struct ticket_time now,
                      struct buf *out, struct buf *note)
{
    return t->kind->issue(t, jwt, c, now, out, note);
}

enum err tickets_take_note(struct tickets *t, struct str note, int64_t mono_ms)
{
    return t->kind->take_note ? t->kind->take_note(t, note, mono_ms) : ERR_OK;
}

enum err ticket_redeem(struct tickets *t, struct str ticket, struct ticket_time now,
                       struct claims **out)
{
    return t->kind->redeem(t, ticket, now, out);
}

uint32_t tickets_held(struct tickets *t)
{
    return t->kind->held ? t->kind->held(t) : 0;
}

/* ---- bare: the JWT itself ---- */

static void bare_free(struct tickets *t)
{
    mem_free(t);
}

static enum err bare_issue(struct tickets *t, struct str jwt, struct claims *c,
                           struct ticket_time now, struct buf *out, struct buf *note)
{
    (void)t, (void)c, (void)now, (void)note;
    if (jwt.len > JWT_BYTES_MAX)
        return ERR_LIMIT;
    buf_str(out, jwt);
    return ERR_OK;
}

static enum err bare_redeem(struct tickets *t, struct str ticket, struct ticket_time now,
                            struct claims **out)
{
    (void)t, (void)ticket, (void)now, (void)out;
    return ERR_NOT_FOUND;
}

enum err tickets_new_bare(struct tickets **out)
{
    static const struct ticket_kind kind = {
        .free = bare_free, .issue = bare_issue, .redeem = bare_redeem};
    *out = mem_zalloc(sizeof **out);
    (*out)->kind = &kind;
    return ERR_OK;
}
