/* options.c: what the command line says. One table gives both the parsing and --help. */
#include "shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    char letter;
    const char *argument;       /* NULL: takes none */
    const char *sentence;
} flag;

enum { E, I, Q, NO_INIT, NO_HISTORY, SANDBOX, COLOUR, DEBUG, FITS, DUMP, VERSION, HELP };

static const flag flags[] = {
    [E] = { NULL, 'e', "CODE", "run CODE; may be given several times" },
    [I] = { NULL, 'i', NULL, "start the shell after CODE or FILE" },
    [Q] = { "quiet", 'q', NULL, "no banner" },
    [NO_INIT] = { "no-init", 0, NULL, "skip the user's init.lua" },
    [NO_HISTORY] = { "no-history", 0, NULL, "keep no history of this session" },
    [SANDBOX] = { "sandbox", 0, NULL, "no files, no processes: for scripts from strangers" },
    [COLOUR] = { "color", 0, "WHEN", "auto, always or never" },
    [DEBUG] = { "debug", 0, NULL, "show a traceback with every error" },
    [FITS] = { "fits", 0, "EXPR", "status 0: EXPR fits, 1: it does not, 2: an error" },
    [DUMP] = { "dump-embedded", 0, "DIR", "write the Lua sources and presets under DIR" },
    [VERSION] = { "version", 0, NULL, "print the version" },
    [HELP] = { "help", 'h', NULL, "print this" },
};
#define N_FLAGS (sizeof flags / sizeof *flags)

static bool wrong(const char *what, const char *arg, const char *more)
{
    fprintf(stderr, "oomph: %s%s%s\ntry 'oomph --help'\n", what, arg, more);
    return false;
}

void options_help(void)
{
    puts("usage: oomph [options] [FILE.lua [ARGS...]]\n\n"
         "Says whether a language model fits on hardware: in a shell, or as a Lua script\n"
         "(- is stdin).\n");
    for (size_t i = 0; i < N_FLAGS; i++) {
        char left[40] = "";
        const flag *f = &flags[i];

        snprintf(left, sizeof left, "%c%c%s%s%s%s%s", f->letter ? '-' : ' ',
                 f->letter ? f->letter : ' ', !f->name ? "" : f->letter ? ", " : "  ",
                 f->name ? "--" : "", f->name ? f->name : "",
                 !f->argument ? "" : f->name ? "=" : " ", f->argument ? f->argument : "");
        printf("  %-24s %s\n", left, f->sentence);
    }
    puts("\nexit status: 0 fine, 1 error in the script, 2 wrong usage, 130 interrupted\n"
         "environment: OOMPH_PATH (a source tree read first), OOMPH_MAX_MEMORY (2GiB),\n"
         "             OOMPH_HISTORY (a file; empty: none), OOMPH_HISTORY_SIZE, NO_COLOR,\n"
         "             XDG_CONFIG_HOME, XDG_STATE_HOME");
}

static bool colour(const char *when, shell_colour *out)
{
    static const char *const names[] = { "auto", "always", "never" };

    for (int i = 0; i < 3; i++)
        if (!strcmp(when, names[i])) {
            *out = (shell_colour)i;
            return true;
        }
    return wrong("--color takes auto, always or never, not ", when, "");
}

static bool set(shell_options *o, size_t f, const char *value)
{
    switch (f) {
    case E: o->code[o->n_code++] = value; break;
    case I: o->interactive = true; break;
    case Q: o->quiet = true; break;
    case NO_INIT: o->no_init = true; break;
    case NO_HISTORY: o->no_history = true; break;
    case SANDBOX: o->sandbox = true; break;
    case COLOUR: return colour(value, &o->colour);
    case DEBUG: o->debug = true; break;
    case FITS: o->fits = value; break;
    case DUMP: o->dump_dir = value; break;
    case VERSION: o->version = true; break;
    case HELP: o->help = true; break;
    }
    return true;
}

/* One argument that starts with "-"; *i moves on when the next one is its value. */
static bool read_flag(shell_options *o, int *i)
{
    const char *arg = o->argv[*i];

    for (size_t f = 0; f < N_FLAGS; f++) {
        const char *rest = NULL;        /* what follows the flag's name in the same argument */
        size_t n = flags[f].name ? strlen(flags[f].name) : 0;

        if (flags[f].letter && arg[1] == flags[f].letter)
            rest = arg + 2;
        else if (n && arg[1] == '-' && !strncmp(arg + 2, flags[f].name, n) &&
                 (arg[2 + n] == '=' || !arg[2 + n]))
            rest = arg + 2 + n + (arg[2 + n] == '=' && flags[f].argument);
        if (!rest)
            continue;
        if (!flags[f].argument)
            return *rest ? wrong(arg, "", " takes no value") : set(o, f, "");
        if (arg[1] == '-' ? arg[2 + n] == '=' : *rest != 0)
            return set(o, f, rest);
        if (*i + 1 >= o->argc)
            return wrong(arg, " needs ", flags[f].argument);
        return set(o, f, o->argv[++*i]);
    }
    return wrong("no option ", arg, "");
}

bool options_read(int argc, char **argv, shell_options *o)
{
    int i;

    memset(o, 0, sizeof *o);
    o->argc = argc;
    o->argv = argv;
    o->code = calloc((size_t)argc + 1, sizeof *o->code);
    if (!o->code)
        return wrong("not enough memory", "", "");
    for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (!strcmp(argv[i], "--")) {
            i++;
            break;
        }
        if (!read_flag(o, &i))
            return false;
    }
    o->script_at = i;
    if (i < argc)
        o->script = argv[i];
    return true;
}
