/* interrupt.c: Ctrl-C stops a running script and leaves the session alive. The handler only counts;
 * a count hook, installed once on the main state and inherited by every coroutine, sees the count
 * and raises. It then re-arms itself for every instruction, so that neither `pcall` in a loop nor
 * a coroutine survives; the loop resets both before the next prompt.
 *
 * Weighed: installing the hook from the handler, as lua.c does: it does not reach a coroutine that
 * is running, and `while true do pcall(f) end` swallows it. */
#include "shell.h"

#include <lauxlib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Instructions between two looks: about a millisecond. */
#define INSTRUCTIONS 100000

volatile sig_atomic_t interrupt_pending;
static volatile sig_atomic_t presses_to_exit, echoed, seen;

static void say(const char *text)       /* from the handler */
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void on_interrupt(int number)
{
    static struct timespec last;
    struct timespec now;
    long ms;

    (void)number;
    /* one press may arrive twice: from the terminal and from a program that passes it on */
    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000;
    if (interrupt_pending && ms < 50)
        return;
    last = now;
    echoed = seen = 1;
    if (++interrupt_pending >= presses_to_exit) {
        say("\n");
        _exit(EXIT_INTERRUPTED);
    } else if (interrupt_pending > 1 && presses_to_exit > 2) {
        say("\nthis call cannot be stopped: Ctrl-C once more leaves oomph\n");
        echoed = 0;
    }
}

void interrupt_end_echo(void)
{
    if (echoed && isatty(STDIN_FILENO))
        fputc('\n', stderr);
    echoed = 0;
}

void interrupt_echo_gone(void)
{
    echoed = 0;
}

bool interrupt_seen(void)
{
    return seen;
}

bool interrupt_cut_output(void)
{
    bool cut = seen && ferror(stdout) && !interrupt_output_gone();

    if (cut)
        clearerr(stdout);
    return cut;
}

bool interrupt_output_gone(void)
{
    struct pollfd out = { STDOUT_FILENO, 0, 0 };

    return ferror(stdout) && poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
}

static void look(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (interrupt_pending) {
        lua_sethook(L, look, LUA_MASKCOUNT, 1);
        lua_pushliteral(L, "interrupted");
        lua_error(L);
    }
    if (ferror(stdout) && interrupt_output_gone())
        _exit(EXIT_FINE);               /* nobody reads: leave quietly, as `head` expects */
    if (lua_gethookcount(L) != INSTRUCTIONS)
        lua_sethook(L, look, LUA_MASKCOUNT, INSTRUCTIONS);
}

void interrupt_install(lua_State *L, bool interactive)
{
    struct sigaction action = { .sa_handler = on_interrupt };

    /* one long call of the standard library cannot be stopped: pressing on leaves */
    presses_to_exit = interactive ? 3 : 2;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    lua_sethook(L, look, LUA_MASKCOUNT, INSTRUCTIONS);
}

void interrupt_reset(lua_State *L)
{
    interrupt_cut_output();
    interrupt_pending = echoed = seen = 0;
    lua_sethook(L, look, LUA_MASKCOUNT, INSTRUCTIONS);
}
