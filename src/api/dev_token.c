/* dev_token.c - a token to try things out with: POST /v1/dev/token of a master with --dev. */
#include "api/body.h"

bool api_is_dev(const struct api_call *c)
{
    return c->api->options.make_token && !c->api->trust->master_keys;
}

static void give_token(struct api_call *c, const struct api_token *t)
{
    const struct api_options *o = &c->api->options;
    struct buf token = BUF_INIT;
    char why[512];
    if (o->make_token(o->make_token_ctx, t, c->now_s, &token, why, sizeof(why))) {
        api_problem_at(c->reply, PROBLEM_JWT, str_of(why), STR_EMPTY);
    } else {
        struct buf *out = api_json(c->reply);
        buf_str(out, STR("{\"token\":"));
        json_quote(out, buf_as_str(&token));
        buf_char(out, '}');
    }
    buf_fini(&token);
}

/* Whoever reaches a server with --dev and without keys may do anything there; anywhere else there
 * is no such path. */
enum api_outcome api_dev_token(struct api_call *c)
{
    struct body_member m[] = {{.name = "app", .types = BODY_STRING, .is_nonempty = true},
                              {.name = "user_id", .types = BODY_STRING},
                              {.name = "channels", .types = BODY_ARRAY}};
    struct buf app = BUF_INIT, user = BUF_INIT, channels = BUF_INIT;
    if (!api_is_dev(c))
        return api_refuse(c->reply, ERR_NOT_FOUND);
    if (api_is_no_strange_page(c) && body_read(c, m, 3) && body_names(c, &m[2], &channels)) {
        const struct api_token t = {body_text(&m[0], &app), body_text(&m[1], &user),
                                    buf_as_str(&channels)};
        give_token(c, &t);
    }
    buf_fini(&app);
    buf_fini(&user);
    buf_fini(&channels);
    return API_DONE;
}
