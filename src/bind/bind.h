/* bind.h: the core as Lua sees it. Argument checking and conversions, nothing else. */
#ifndef OOM_BIND_H
#define OOM_BIND_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "read.h"

/* Name, signature, one sentence and an example that runs stand beside the function: help,
 * completion, the man page and the README's table are made from these four fields. */
typedef struct {
    const char *name;
    lua_CFunction function;
    const char *signature;
    const char *sentence;
    const char *example;
} bind_entry;

/* The functions of one binding file, ended by { 0 }. */
extern const bind_entry bind_model_entries[], bind_memory_entries[], bind_solve_entries[],
    bind_catalogue_entries[], bind_sweep_entries[], bind_rows_entries[], bind_tools_entries[];

/* An option is a session variable and a key of every call. */
typedef struct {
    const char *name;
    const char *values;         /* what it takes, for help: "a whole number", "model name" … */
    const char *sentence;
    /* completion inside strings: "model" "device" "precision" "kv" "engine" or NULL */
    const char *kind;
} bind_option;
const bind_option *bind_option_at(size_t i);                /* NULL past the last */
const char *bind_option_meant(const char *elsewhere);       /* by another tool's name; or NULL */

/* Opens the module: pushes a table with every public function. The catalogue must outlive L.
 * The session's variables live in a table of the registry, BIND_SESSION; calls look there for
 * options that were left out. */
#define BIND_SESSION "oomph.session"
int bind_open(lua_State *L, read_catalogue *catalogue);

/* Checks the value at `index` for the session variable `name`: raises the one-line error, or stores
 * it in BIND_SESSION (whose plain fields are the variables as read back). A nil value clears the
 * variable. With `echo` pushes what was understood, a string, or nil where there is nothing to say
 * (it loads lua/echo.lua, so scripts leave it out). Returns the number of values pushed. */
int bind_assign(lua_State *L, const char *name, int index, bool echo);

/* Documentation entry i over all files: functions in C and those declared for lua/ modules. */
typedef struct {
    const char *name, *signature, *sentence, *example;
    const char *module;         /* lua/ module that defines it ("oomph.chart"); NULL: in C */
} bind_doc;
const bind_doc *bind_doc_at(size_t i);

/* Candidates for completion inside strings: calls `each` with a name and a description, in order,
 * until it returns false. `kind` as in bind_option, or "format". No Lua is run. */
void bind_names(read_catalogue *catalogue, const char *kind,
                bool (*each)(void *ctx, const char *name, const char *description), void *ctx);

#endif
