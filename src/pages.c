#include "pages.h"
#include <string.h>
#include "options.h"

/* The commands that config.h does not know, as they have no options. */
static const struct {
    const char *name, *arguments, *help;
} others[] = {
    {"check", "[all|slave|master] [OPTION]...", "tells what is wrong with a server's options"},
    {"options", "", "prints all options as a Markdown page"},
    {"man", "[COMMAND]", "prints a manual page: gusher man all | man -l -"},
    {"completions", "bash|zsh|fish", "prints what makes a shell complete gusher's commands"},
};
enum { N_OTHERS = sizeof(others) / sizeof(others[0]) };

void pages_usage(FILE *out)
{
    fprintf(out, "gusher - pushes messages from backends to browsers\n\n");
    for (unsigned i = 0; i < n_commands; i++)
        fprintf(out, "  gusher %-11s  %s\n", commands[i].name, commands[i].help);
    for (unsigned i = 0; i < N_OTHERS; i++)
        fprintf(out, "  gusher %-11s  %s\n", others[i].name, others[i].help);
    fprintf(out,
            "\ngusher COMMAND --help tells the options of each; gusher --version the version.\n"
            "Without a command it is gusher all. To see it work: gusher all --dev\n");
}

void pages_help(enum config_command command)
{
    const struct command *c = command_of(command);
    printf("gusher %s%s%s - %s\n\nOptions:\n", c->name, *c->arguments ? " " : "", c->arguments,
           c->help);
    for (unsigned i = 0; i < n_options; i++) {
        const struct option *o = &options[i];
        if (!(o->commands & command))
            continue;
        printf("  --%s %s\n      %s", o->flag, o->value, o->help);
        if (o->standard && *o->standard)
            printf(" [%s]", o->standard);
        if (o->env)
            printf(" (%s)", o->env);
        printf("\n");
    }
    printf("  -e, --env-file FILE\n      Reads NAME=value lines; the environment is stronger, "
           "flags are strongest.\n"
           "  --help, --version\n");
}

/* ---- Markdown ---- */

static void markdown_row(const struct option *o)
{
    bool has_standard = o->standard && *o->standard;
    printf("| `--%s` | %s%s%s | %s%s%s | %s", o->flag, o->env ? "`" : "", o->env ? o->env : "",
           o->env ? "`" : "", has_standard ? "`" : "", has_standard ? o->standard : "",
           has_standard ? "`" : "", o->help);
    if (o->type == NUMBER)
        printf(" (%ld to %ld)", o->min, o->max);
    printf(" |\n");
}

void pages_markdown(void)
{
    printf("# Configuration\n\n"
           "This page is printed by `gusher options`; a test compares the two.\n\n"
           "A flag is stronger than an environment variable, that stronger than a line of the\n"
           "`--env-file` (`-e`, `GUSHER_ENV_FILE`), that stronger than the default. An unknown "
           "flag or a bad\nvalue ends the start with one sentence and exit status 2; a "
           "`GUSHER_` variable that means\nnothing to this version is logged and ignored.\n");
    for (unsigned k = 0; k < n_commands; k++) {
        printf("\n## gusher %s\n\n%s", commands[k].name, commands[k].help);
        if (*commands[k].arguments)
            printf(": `gusher %s %s`", commands[k].name, commands[k].arguments);
        printf(".\n\n");
        printf("| flag | variable | default | meaning |\n|---|---|---|---|\n");
        for (unsigned i = 0; i < n_options; i++) {
            if (options[i].commands & commands[k].bit)
                markdown_row(&options[i]);
        }
    }
}

/* ---- manual pages ---- */

/* A minus sign is a hyphen to roff, and a dot or an apostrophe that begins a line a request. */
static void roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        printf("\\&");
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
}

static void man_head(const char *name, const char *help)
{
    printf(".TH gusher%s%s 1 \"\" \"gusher " GUSHER_VERSION "\" \"gusher\"\n.SH NAME\ngusher%s",
           *name ? "-" : "", name, *name ? "\\-" : "");
    roff(name);
    printf(" \\- ");
    roff(help);
    printf("\n");
}

static void man_option(const struct option *o)
{
    printf(".TP\n.B \\-\\-");
    roff(o->flag);
    if (*o->value) {
        printf(" \\fI");
        roff(o->value);
        printf("\\fR");
    }
    printf("\n");
    roff(o->help);
    printf("\n");
    if (o->standard && *o->standard) {
        printf("Default: ");
        roff(o->standard);
        printf(".\n");
    }
    if (o->env) {
        printf("Variable: ");
        roff(o->env);
        printf(".\n");
    }
}

static void man_of_all(void)
{
    man_head("", "pushes messages from backends to browsers");
    printf(".SH SYNOPSIS\n.B gusher\n[\\fICOMMAND\\fR] [\\fIOPTION\\fR]...\n.SH COMMANDS\n");
    for (unsigned i = 0; i < n_commands; i++) {
        printf(".TP\n.BR gusher\\-%s (1)\n", commands[i].name);
        roff(commands[i].help);
        printf("\n");
    }
    for (unsigned i = 0; i < N_OTHERS; i++) {
        printf(".TP\n.B gusher %s \\fI", others[i].name);
        roff(others[i].arguments);
        printf("\\fR\n");
        roff(others[i].help);
        printf("\n");
    }
    printf(".SH OPTIONS\n"
           "A flag is stronger than an environment variable, that stronger than a line of the\n"
           ".BR \\-\\-env\\-file ,\nthat stronger than the default.\n"
           ".SH EXIT STATUS\n0: done. 1: it could not go on. 2: wrong usage.\n");
}

void pages_man(enum config_command command)
{
    if (!command) {
        man_of_all();
        return;
    }
    const struct command *c = command_of(command);
    man_head(c->name, c->help);
    printf(".SH SYNOPSIS\n.B gusher %s\n[\\fIOPTION\\fR]... ", c->name);
    roff(c->arguments);
    printf("\n.SH OPTIONS\n");
    for (unsigned i = 0; i < n_options; i++) {
        if (options[i].commands & command)
            man_option(&options[i]);
    }
    printf(".TP\n.B \\-e\\fR, \\fB\\-\\-env\\-file \\fIFILE\\fR\n"
           "Reads NAME=value lines; the environment is stronger, flags are strongest.\n"
           ".SH SEE ALSO\n.BR gusher (1)\n");
}

/* ---- completions ---- */

static void print_names(const char *between)
{
    for (unsigned i = 0; i < n_commands; i++)
        printf("%s%s", i ? between : "", commands[i].name);
    for (unsigned i = 0; i < N_OTHERS; i++)
        printf("%s%s", between, others[i].name);
}

/* What a value can be: "a|b|c" as "a b c", or nothing. */
static void print_choices(const struct option *o)
{
    bool has_choices = strchr(o->value, '|') != NULL;
    for (const char *c = o->value; has_choices && *c; c++)
        putchar(*c == '|' ? ' ' : *c);
}

static bool is_path(const struct option *o)
{
    return strcmp(o->value, "FILE") == 0 || strcmp(o->value, "FOLDER") == 0;
}

/* bash: the flags of a command, and the values of a flag, by two functions with a case each. */
static void bash_flags(void)
{
    printf("_gusher_flags() {\n    case $1 in\n");
    for (unsigned k = 0; k < n_commands; k++) {
        printf("    %s) echo '", commands[k].name);
        for (unsigned i = 0; i < n_options; i++) {
            if (options[i].commands & commands[k].bit)
                printf("--%s ", options[i].flag);
        }
        printf("--env-file --help' ;;\n");
    }
    printf("    esac\n}\n");
}

/* Flags of one name have one kind of value, whatever the command. */
static void bash_values(void)
{
    printf("_gusher_values() {\n    case $1 in\n");
    for (unsigned i = 0; i < n_options; i++) {
        if (!strchr(options[i].value, '|'))
            continue;
        printf("    --%s) compgen -W '", options[i].flag);
        print_choices(&options[i]);
        printf("' -- \"$2\" ;;\n");
    }
    for (unsigned i = 0; i < n_options; i++) {
        if (is_path(&options[i]))
            printf("    --%s) compgen -f -- \"$2\" ;;\n", options[i].flag);
    }
    printf("    -e | --env-file) compgen -f -- \"$2\" ;;\n    *) return 1 ;;\n    esac\n}\n");
}

static void bash(void)
{
    printf("# bash completion for gusher: source <(gusher completions bash)\n");
    bash_flags();
    bash_values();
    printf("_gusher() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local command=${COMP_WORDS[1]}\n"
           "    [ \"$command\" != check ] || command=${COMP_WORDS[2]-all}\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    print_names(" ");
    printf("' -- \"$word\"))\n"
           "    elif [ \"$before\" = man ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    print_names(" ");
    printf("' -- \"$word\"))\n"
           "    elif [ \"$before\" = check ]; then\n"
           "        COMPREPLY=($(compgen -W 'all slave master' -- \"$word\"))\n"
           "    elif [ \"$before\" = completions ]; then\n"
           "        COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\"))\n"
           "    elif [[ $before == -* ]] && COMPREPLY=($(_gusher_values \"$before\" \"$word\")); "
           "then\n"
           "        :\n"
           "    else\n"
           "        COMPREPLY=($(compgen -W \"$(_gusher_flags \"$command\")\" -- \"$word\"))\n"
           "    fi\n"
           "}\n"
           "complete -F _gusher gusher\n");
}

static void zsh(void)
{
    printf("# zsh completion for gusher: source <(gusher completions zsh)\n"
           "autoload -U +X bashcompinit && bashcompinit\n");
    bash();
}

/* In single quotes, where only these two mean something. */
static void fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_command(const char *name, const char *help)
{
    printf("complete -c gusher -n __fish_use_subcommand -f -a %s -d ", name);
    fish_text(help);
    printf("\n");
}

static void fish(void)
{
    printf("# fish completion for gusher: gusher completions fish | source\n");
    for (unsigned i = 0; i < n_commands; i++)
        fish_command(commands[i].name, commands[i].help);
    for (unsigned i = 0; i < N_OTHERS; i++)
        fish_command(others[i].name, others[i].help);
    for (unsigned k = 0; k < n_commands; k++) {
        for (unsigned i = 0; i < n_options; i++) {
            const struct option *o = &options[i];
            if (!(o->commands & commands[k].bit))
                continue;
            printf("complete -c gusher -n '__fish_seen_subcommand_from %s' -l %s%s",
                   commands[k].name, o->flag,
                   is_path(o)                        ? " -r"
                   : o->type == SWITCH && !*o->value ? " -f"
                                                     : " -x");
            if (strchr(o->value, '|')) {
                printf(" -a '");
                print_choices(o);
                printf("'");
            }
            printf(" -d ");
            fish_text(o->help);
            printf("\n");
        }
    }
}

bool pages_completions(const char *shell)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (unsigned i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print();
            return true;
        }
    }
    return false;
}
