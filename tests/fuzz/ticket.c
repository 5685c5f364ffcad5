/* The input is shown as a ticket, and it is laid over a good one: neither may be taken, except when
 * it is the good one. */
#include "auth/ticket.h"
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct tickets *tickets;
static char good[TICKET_LEN];

static void prepare(void)
{
    struct claims *c;
    if (tickets_new(&tickets, 8) || claims_from_json(&c, STR("{}"), 0) ||
        ticket_issue(tickets, c, 0, good))
        abort();
    claims_unref(c);
}

static void show(struct str text)
{
    struct claims *c = NULL;
    enum err e = ticket_redeem(tickets, text, 1, &c);
    bool is_good = str_eq(text, str_make(good, sizeof good));
    assert(e == (is_good ? ERR_OK : ERR_NOT_FOUND));
    assert((c != NULL) == is_good);
    claims_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!tickets)
        prepare();
    show(str_make(len ? (const char *)data : "", len));

    char changed[TICKET_LEN];
    for (size_t i = 0; i < sizeof changed; i++)
        changed[i] = i < len && data[i] ? (char)data[i] : good[i];
    show(str_make(changed, sizeof changed));
    return 0;
}
