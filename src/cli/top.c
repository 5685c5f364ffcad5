#include "cli/top.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "cli/top_view.h"
#include "net/loop.h"

enum { COLUMNS_USUAL = 100 };

struct top {
    const struct top_options *o;
    struct top_node nodes[TOP_NODES_MAX];
    struct buf texts[TOP_NODES_MAX][2]; /* of the last two readings, in turn */
    char troubles[TOP_NODES_MAX][128];
    unsigned turn;
};

/* ---- the terminal ---- */

static struct termios usual_terminal;

static void give_terminal_back(void)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &usual_terminal);
}

/* Single keys are read as they are pressed. False: this is no terminal. */
static bool take_terminal(void)
{
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &usual_terminal))
        return false;
    struct termios t = usual_terminal;
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    atexit(give_terminal_back);
    return tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

static unsigned columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    return COLUMNS_USUAL;
}

/* Waits for the next round; true: somebody pressed "q". */
static bool is_to_end(bool is_terminal, int64_t until_ms)
{
    for (int64_t left; (left = until_ms - loop_clock_ms()) > 0;) {
        struct pollfd p = {.fd = is_terminal ? STDIN_FILENO : -1, .events = POLLIN};
        char key;
        if (poll(&p, 1, (int)left) > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
            return true;
    }
    return false;
}

/* ---- rounds ---- */

static const char *without_scheme(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? host + 3 : url;
}

static void read_node(struct top *t, unsigned i)
{
    struct top_node *n = &t->nodes[i];
    struct buf *text = &t->texts[i][t->turn & 1];
    const struct call call = {t->o->urls[i], t->o->key, t->o->ca_file};
    buf_clear(text);
    n->trouble = NULL;
    if (call_master(text, &call, STR("/metrics"), (struct str){0}, t->troubles[i],
                    sizeof(t->troubles[i]))) {
        n->trouble = t->troubles[i];
        n->now = n->before = (struct top_reading){0};
        return;
    }
    n->before = n->now;
    n->now = (struct top_reading){buf_as_str(text), (double)loop_clock_us() / 1e6};
}

static void draw(const struct top *t, bool is_terminal)
{
    struct buf picture = BUF_INIT;
    if (is_terminal)
        buf_str(&picture, STR("\033[H\033[2J")); /* all anew, from the upper left */
    top_draw(&picture, t->nodes, t->o->n_urls, columns());
    if (is_terminal)
        buf_str(&picture, STR("\nq ends this."));
    fwrite(picture.p, 1, picture.len, stdout);
    fflush(stdout);
    buf_fini(&picture);
}

enum err top_run(const struct top_options *o)
{
    static struct top t;
    if (o->n_urls > TOP_NODES_MAX)
        return ERR_LIMIT;
    bool is_terminal = take_terminal();
    t = (struct top){.o = o};
    for (unsigned i = 0; i < o->n_urls; i++)
        t.nodes[i].name = without_scheme(o->urls[i]);
    /* Rates take two readings: the first is not shown. */
    for (t.turn = 0; !o->rounds || t.turn <= o->rounds; t.turn++) {
        int64_t next_ms = loop_clock_ms() + (int64_t)o->interval_s * 1000;
        for (unsigned i = 0; i < o->n_urls; i++)
            read_node(&t, i);
        if (t.turn)
            draw(&t, is_terminal);
        if (o->rounds && t.turn == o->rounds)
            break;
        if (is_to_end(is_terminal, t.turn ? next_ms : loop_clock_ms() + 500))
            break;
    }
    if (is_terminal)
        printf("\n");
    for (unsigned i = 0; i < o->n_urls; i++) {
        buf_fini(&t.texts[i][0]);
        buf_fini(&t.texts[i][1]);
    }
    return ERR_OK;
}
