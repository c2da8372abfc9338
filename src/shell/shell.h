/* shell.h: the rooms of the shell, from the smallest to the loop. Only the shell prints, only it
 * knows Readline, and nothing below src/shell includes this. */
#ifndef OOM_SHELL_H
#define OOM_SHELL_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "read.h"

/* Exit statuses, the only ones there are. */
enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* ---- options.c: the command line ---- */

typedef enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } shell_colour;

typedef struct {
    bool interactive, quiet, no_init, no_history, sandbox, debug;
    bool help, version;
    shell_colour colour;
    const char *dump_dir;       /* --dump-embedded */
    const char *fits;           /* --fits */
    const char **code;          /* every -e, in order */
    int n_code;
    const char *script;         /* FILE or "-"; NULL: none */
    char **argv;                /* argv[script_at] is the script, what follows are its arguments */
    int argc, script_at;
} shell_options;

/* Fills `o`; false after it has said on stderr what is wrong. */
bool options_read(int argc, char **argv, shell_options *o);
void options_help(void);

/* ---- lookup.c: files of ours, which the user's own may stand before ---- */

/* Folder of the user's configuration, "/home/x/.config/oomph"; NULL without a home. */
const char *lookup_config_dir(void);
/* Where history is kept, "/home/x/.local/state/oomph"; NULL without a home. */
const char *lookup_state_dir(void);
/* Loads lua/NAME.lua as a chunk on the stack: from OOMPH_PATH, the configuration, the binary.
 * Returns Lua's status, or -1 when there is no such module (nothing pushed). */
int lookup_load(lua_State *L, const char *module);
/* Offers the names of the modules that could begin with `word`: files along a path written like
 * package.path ("" for none), and ours where it begins like "oomph.". */
typedef bool lookup_offer(void *ctx, const char *name);
void lookup_modules(const char *path, const char *word, lookup_offer *offer, void *ctx);
/* Preset files of both kinds, in the same order; for read_catalogue_new. */
extern const read_source lookup_presets;
/* Records in the preset files of a folder, for the banner, without parsing them. */
unsigned lookup_records(const char *folder);
/* Writes the embedded files under `dir`; false after saying why not. */
bool lookup_dump(const char *dir);

/* ---- interrupt.c ---- */

extern volatile sig_atomic_t interrupt_pending;     /* Ctrl-C presses not yet answered */
void interrupt_install(lua_State *L, bool interactive);
void interrupt_reset(lua_State *L);
/* The terminal showed ^C: what comes next begins on a line of its own. */
void interrupt_end_echo(void);
void interrupt_echo_gone(void);                     /* something was written over it */
/* Ctrl-C was pressed since the prompt, whoever answered it: a sweep keeps the rows it has. */
bool interrupt_seen(void);
/* True when it was Ctrl-C that cut a write to stdout short: no error of the output's. */
bool interrupt_cut_output(void);
/* True when nobody reads our output any more: a closed pipe. */
bool interrupt_output_gone(void);

/* ---- term.c ---- */

void term_init(shell_colour colour);
bool term_utf8(void);
int term_colours(int fd);                           /* 0, 16 or 256 */
void term_size(int *columns, int *rows);            /* 80 x 24 where not known */
/* Bytes of the first character of s (0 at its end) and the columns it takes. */
size_t term_char(const char *s, int *columns);
/* Columns of the first n_bytes of s; bytes of s that fit in so many columns. */
int term_columns(const char *s, size_t n_bytes);
size_t term_fit(const char *s, int columns);
/* Prose: on a terminal its lines break between words, what goes on is set in. */
void term_say(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
int picture_host(lua_State *L);             /* host.picture: PNG and PDF (picture.c) */
int term_host(lua_State *L);                        /* host.term() */

/* ---- session.c: the Lua state ---- */

typedef struct {
    lua_State *L;
    const shell_options *options;
    read_catalogue *catalogue;
    bool terminal;              /* a person types: prompts, echoes, history */
    const char *block;          /* what was typed and runs now, which an error may point into */
    int status;
    lua_Integer n_worked;       /* blocks that worked, for save() */
    /* the allocator's account */
    size_t used_bytes, limit_bytes;
} session;

/* Builds the state in `s`: libraries, limits, environment. Raises on failure, so it is called in
 * protected mode. */
void session_open(session *s, lua_State *L);
void *session_allocate(void *ud, void *p, size_t old_bytes, size_t new_bytes);
session *session_of(lua_State *L);

/* Calls the function under `n_args` arguments with our message handler. Results are on the stack
 * on success; otherwise the error was printed. */
bool session_call(session *s, int n_args);
/* Remembers a block that worked, for save(). May raise. */
void session_worked(session *s, const char *text, bool kept, bool shown);
/* Prints the error at the top of the stack and pops it. */
void session_error(session *s);
/* Writes what Lua printed; false when it could not be written (said unless a pipe was closed). */
bool session_flush(session *s);

/* ---- environment.c: what globals are ---- */

/* Puts a validating proxy in the place of the globals table. `api`: index of the module table. */
void environment_install(lua_State *L, int api);
/* Push the user's table, whose reads fall through to everything else, and the libraries'. */
void environment_push(lua_State *L);
void environment_push_libraries(lua_State *L);
/* Pushes a function of one of our Lua modules, read on first use. May raise. */
void environment_function(lua_State *L, const char *module, const char *name);
/* Every global name there is, functions and variables, until `each` returns false. Raw access. */
void environment_names(lua_State *L, bool (*each)(void *ctx, const char *name), void *ctx);

/* ---- point.c: where an error is ---- */

/* Writes to stderr the line of the block that the message speaks of, with the word it names
 * underlined, if that is there once. */
void point_at(const char *block, const char *message);

/* ---- suggest.c: did you mean ---- */

/* Adds what was probably meant to an error message at the top that says what is nil. */
void suggest_in_message(lua_State *L);
/* Pushes `did you mean "x"?` for a name that means nothing; false, pushing nothing, when none is
 * near. */
bool suggest_push(lua_State *L, const char *name, bool method);
/* Writes a note where what was typed may have meant something else: a name without its quotes, a
 * name of nothing, a local that ends at once. `is_nil`: the answer was nil. */
void suggest_after(session *s, const char *text, bool fine, bool is_nil);

/* ---- chunk.c: text to function ---- */

typedef enum { CHUNK_READY, CHUNK_INCOMPLETE, CHUNK_BROKEN, CHUNK_EMPTY } chunk_state;

/* What a block is: an expression whose value is shown; silent when it ended in ";". */
typedef struct { bool expression, silent; } chunk_kind;

/* Compiles a block as typed. READY pushes a function that returns what there is to show; BROKEN
 * pushes the message. */
chunk_state chunk_compile(lua_State *L, const char *text, chunk_kind *kind);
/* Bytes of the first statements of `text` that can run on their own; 0: none is complete. */
size_t chunk_first(lua_State *L, const char *text);
/* Every statement of it is complete. */
bool chunk_whole(lua_State *L, const char *text);
/* It begins with a local, which lives to the end of the block it is in. */
bool chunk_is_local(const char *text);
/* The text is one name and nothing else; copies it. */
bool chunk_is_name(const char *text, char *name, size_t name_bytes);
/* `help x`, `?x`, `quit`: words that work without parentheses. Returns the Lua for it (static
 * buffer), or NULL. */
const char *chunk_word(const char *text);
/* Removes the prompts of a pasted transcript, in place. */
void chunk_strip_prompts(char *text);

#define PROMPT "oomph> "
#define PROMPT_MORE "  ...> "

/* ---- input.c, display.c, edit.c, history.c, complete.c: lines from a person ---- */

void input_init(session *s);
/* One line, or several when a block was pasted; malloc'd, without the last newline. NULL: the end,
 * or interrupt_pending is set. */
char *input_line(const char *prompt, const char *pending);
void history_open(bool keep);
/* Reads the file, once: 10,000 entries take longer than the whole start. */
void history_load(void);
void history_add_block(const char *text);
/* The block typed before the last one, or NULL. */
const char *history_before(void);
/* Tall entries are shown in part from now on; the window was resized. */
void display_begin(void);
void display_resized(void);
/* What the user's editor makes of a text, malloc'd; NULL after it was said why not. */
char *edit_text(const char *text);
/* The block before the last, edited, stands at the next prompt; false where no line is edited. */
bool input_edit(void);
void complete_init(session *s);
void complete_pending(const char *block);           /* the lines before the one being edited */

/* ---- repl.c ---- */

void repl_run(session *s);
/* Calls the function under n_args arguments and shows what it returns; pops it all. `_` stays. */
bool repl_call_and_show(session *s, int n_args);

#endif
