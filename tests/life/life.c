/* life: what shows only in a long life. A shell that is typed at a million times must not grow, one
 * that is interrupted must stay whole, shells that share a history must lose nothing of it, and a
 * terminal that goes away must take its shell along. Prints the Test Anything Protocol.
 *
 *   life            briefly, for `make test`
 *   life --long     a million commands, two hundred interrupts (`make life`)
 *   life --sanitized    briefly, without a look at the memory
 *
 * Lines "# word: figures" are what docs/reliability.md shows. */
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>

#include "pty.h"

static bool is_long, sanitized;
static int done, failures;
static char binary[PATH_MAX], home[] = "/tmp/oomph-life-XXXXXX";
static char home_is[64], history_is[96], history[64];
static pty shells[3];

static void verdict(bool fine, const char *sentence)
{
    printf("%s %d - %s\n", fine ? "ok" : "not ok", ++done, sentence);
    fflush(stdout);
    failures += !fine;
}

static bool __attribute__((format(printf, 1, 2))) fault(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    printf("# ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    return false;
}

/* xorshift64*, Vigna 2014: the same run every time */
static uint64_t state = 20261;

static uint64_t random_below(uint64_t n)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1DULL >> 11) % n;
}

static bool start(pty *p, const char *limit)
{
    const char *const argv[] = { binary, "--no-init", "-q", NULL };
    const char *const set[] = { home_is, history_is, limit ? limit : "OOMPH_HISTORY_SIZE=10000",
                                "TERM=dumb", "INPUTRC=/dev/null", "LC_ALL=C.UTF-8",
                                "PATH=/usr/local/bin:/usr/bin:/bin", NULL };

    return pty_start(p, argv, set);
}

/* A shell at its prompt. */
static bool begin(pty *p, const char *limit)
{
    return start(p, limit) && pty_wait(p, "oomph> ");
}

static bool leave(pty *p)
{
    int status;

    pty_type(p, "\025quit()\r");
    status = pty_status(p);
    return status == 0 || fault("it left with status %d", status);
}

static bool exists(const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", home, name);
    return access(path, F_OK) == 0;
}

/* KiB that the process has in memory. */
static long resident(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    FILE *in;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    in = fopen(path, "r");
    while (in && fgets(line, sizeof line, in))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (in)
        fclose(in);
    return kib;
}

/* ---- it does not grow ------------------------------------------------------------------------ */

/* What people type, right and wrong, finished or completed and given up (Ctrl-U). */
static const char *const typed[] = {
    "model = \"llama-3.1-8b\"\r", "device = \"rtx-4090\"\r", "memory{precision=\"fp16\", seq=%d}\r",
    "footprint()\r", "memory{bacth=%d}\r", "model = \"lama-%d\"\r", "memory{pre\t\025",
    "device = \"%dMiB\"\r", "maxbatch{precision=\"int8\", seq=%d}\r", "no_such_function(%d)\r",
    "model = \"qwen2.5-14b\"\r", "device = \"2x h100-sxm\"\r", "model = \"ll\t\t\025",
    "memory{precision=\"awq\", engine=\"vllm\", batch=4, seq=%d};\r", "x = {%d}\r", "for i = %d do\r",
    "capacity{engine=\"vllm\", seq=%d}\r", "?memory\r", "foo\t(%d\025",
    "device = {memory=%d000000}\r", "model = {params=7e9, hidden_size=4096, num_hidden_layers=32, vocab_size=%d}\r",
};

enum { N_TYPED = sizeof typed / sizeof *typed, BETWEEN_ANSWERS = 40 };

static bool type_commands(pty *p, unsigned long from, unsigned long to)
{
    for (unsigned long i = from; i < to; i++) {
        char line[128];

        snprintf(line, sizeof line, typed[i % N_TYPED], (int)i + 1);
        pty_type(p, line);
        if (i % BETWEEN_ANSWERS == 0 && !pty_answers(p, i))
            return fault("no answer after %lu commands: %.*s", i, (int)p->n, p->seen);
    }
    return pty_answers(p, to);
}

/* All that may be kept (history, lines for save(), plans, names) is full after 100,000 commands:
 * from then on it stays within a twentieth. Before, a command may leave some KiB. */
static bool does_not_grow(void)
{
    unsigned long n = is_long ? 1000000 : 2000, first = is_long ? 100000 : 1000;
    pty *p = &shells[0];
    long before, after, room;

    if (!begin(p, NULL) || !type_commands(p, 0, first))
        return false;
    before = resident(p->pid);
    if (!type_commands(p, first, n))
        return false;
    after = resident(p->pid);
    room = is_long ? before / 20 : 4 * (long)(n - first);
    printf("# commands: %lu typed; %ld KiB in memory after %lu, %ld KiB at the end\n", n, before,
           first, after);
    return leave(p) && (after <= before + room || fault("it grew"));
}

/* ---- it can be interrupted ------------------------------------------------------------------- */

/* A hundred million points, and what is asked of them. What cannot be partial is an error then;
 * what can be says how far it came. */
#define SWEEP "s = sweep{model=\"llama-3.1-8b\", device=\"rtx-4090\", precision=\"fp16\", " \
              "seq=range(1, 10000), batch=range(1, 10000)}\r"
static const struct { const char *question, *stopped; } questions[] = {
    { "print(s:where{fits=true}:count())\r", "error: interrupted" },
    { "s:csv(\"rows.csv\")\r", "error: interrupted" },
    { "s:top(5, \"total\")\r", "rows, interrupted after" },
    { "s:group(\"seq\"):best(\"total\")\r", "rows, interrupted after" },
    { "s:where{total={max=\"20GiB\"}}\r", "rows, interrupted after" },
    { "while true do print(1) end\r", "error: interrupted" },  /* cut in the middle of a write */
};

enum { PRINTING = sizeof questions / sizeof *questions - 1 };

/* Reads until the shell waits at its prompt. */
static bool settled(pty *p)
{
    static const char prompt[] = "oomph> ";
    size_t n = sizeof prompt - 1;

    for (long until = pty_now_ms() + pty_patience_ms(); pty_now_ms() < until; pty_read(p, 20))
        if (p->n >= n && !memcmp(p->seen + p->n - n, prompt, n))
            return true;
    return false;
}

/* Past all that waits to be read. */
static void write_key(pty *p, const char *key)
{
    (void)!write(p->fd, key, strlen(key));
}

/* Ctrl-C at a random time: *stopped when it came before the answer, and the answer says so. */
static bool interrupt_once(pty *p, unsigned long i, bool *stopped)
{
    size_t which = i % 2 ? PRINTING : i / 2 % PRINTING;
    const char *question = questions[which].question;

    p->n = 0;
    pty_type(p, question);
    for (long until = pty_now_ms() + (long)random_below(is_long ? 500 : 100); pty_now_ms() < until;)
        if (which == PRINTING)          /* nobody reads: a write is what is interrupted */
            poll(NULL, 0, 1);
        else
            pty_read(p, 5);
    write_key(p, "\003");
    if (!settled(p))
        return fault("no prompt after interrupt %lu, of %s", i, question);
    p->seen[p->n] = 0;
    *stopped = strstr(p->seen, "interrupted") != NULL;
    if (*stopped && !strstr(p->seen, questions[which].stopped))
        return fault("%s was stopped and did not say \"%s\"", question, questions[which].stopped);
    if (strstr(p->seen, "error:") && !*stopped)
        return fault("%s: %s", question, p->seen);
    if (exists("rows.csv") || exists("rows.csv.part"))
        return fault("half a file was left");
    return pty_answers(p, i) || fault("no answer after interrupt %lu", i);
}

static bool survives_interrupts(void)
{
    unsigned long n = is_long ? 200 : 16, stopped = 0;
    pty *p = &shells[0];
    long before = 0, after;

    if (!begin(p, NULL))
        return false;
    pty_type(p, SWEEP);
    if (!pty_answers(p, 0))
        return false;
    for (unsigned long i = 1; i <= n; i++) {
        bool this = false;

        if (!interrupt_once(p, i, &this))
            return false;
        stopped += this;
        if (i == n / 4)
            before = resident(p->pid);
    }
    after = resident(p->pid);
    printf("# interrupts: %lu of sweeps of 100,000,000 points and of loops that print, %lu of them "
           "before the answer; %ld KiB in memory after a quarter, %ld KiB at the end\n", n, stopped, before, after);
    if (is_long && after > before + before / 10)
        return fault("it grew");
    return leave(p) && (stopped > 0 || fault("none came before the answer"));
}

/* ---- two shells, one history ----------------------------------------------------------------- */

/* Lines "a" 1, "a" 2 … of one writer: in the file they are whole, and none between two is missing
 * (the oldest are dropped when a shell that starts shortens the file). */
typedef struct { unsigned long first, last, n; } kept_lines;

static bool read_back(kept_lines kept[2])
{
    FILE *in = fopen(history, "r");
    bool fine = in != NULL, stamp = true;
    char line[256];

    while (fine && fgets(line, sizeof line, in)) {
        unsigned long i;
        char who, end;

        fine = strchr(line, '\n') != NULL;
        if (stamp) {                    /* "#", seconds */
            fine = fine && line[0] == '#' && line[1 + strspn(line + 1, "0123456789")] == '\n';
        } else if (sscanf(line, "x = \"%c%lu%c", &who, &i, &end) == 3) {
            kept_lines *k = &kept[who == 'b'];

            fine = fine && end == '"' && (who == 'a' || who == 'b') && (k->n == 0 || i == k->last + 1);
            k->first = k->n ? k->first : i;
            k->last = i;
            k->n++;
        }
        if (!fine)
            fault("in the history, after line %lu: %s", kept[0].n + kept[1].n, line);
        stamp = !stamp;
    }
    if (in)
        fclose(in);
    return fine;
}

static bool history_is_whole(void)
{
    unsigned long n = is_long ? 20000 : 1000, starts = 0;
    const char *limit = "OOMPH_HISTORY_SIZE=300";
    kept_lines kept[2] = { { 0 } };
    bool fine = begin(&shells[0], limit) && begin(&shells[1], limit), third = false;

    for (unsigned long i = 1; i <= n && fine; i++) {
        for (int who = 0; who < 2; who++) {
            char line[64];

            snprintf(line, sizeof line, "x = \"%c%lu\"\r", 'a' + who, i);
            pty_type(&shells[who], line);
            if (i % 20 == 0)
                fine = fine && pty_answers(&shells[who], i);
        }
        if (!third) {                   /* reads the file, shortens it, and leaves */
            third = start(&shells[2], limit);
            pty_type(&shells[2], "quit()\r");
        } else if (i % 5 == 0 && pty_status_in(&shells[2], 0) != -1) {
            third = false;
            starts++;
        }
    }
    fine = fine && (!third || pty_status(&shells[2]) == 0);
    fine = fine && pty_answers(&shells[0], n + 1) && pty_answers(&shells[1], n + 1) &&
           leave(&shells[0]) && leave(&shells[1]) && read_back(kept);
    fine = fine && kept[0].last == n && kept[1].last == n;
    if (fine)
        printf("# history: %lu lines from two shells while a third started and shortened the file "
               "%lu times; none missing, none torn\n", 2 * n, starts);
    return fine;
}

/* ---- the terminal goes away ------------------------------------------------------------------ */

static const struct { const char *where, *typed; bool ignored; } leavings[] = {
    { "at the prompt", "\"left 0\"\r", false },
    { "in the middle of a line", "\"left 1\"\rmemory{", false },
    { "in the middle of a block", "\"left 2\"\rfor i = 1, 2 do\rprint(i)\r", false },
    { "in a loop", "\"left 3\"\rwhile true do end\r", false },
    { "in a sweep", "\"left 4\"\r" SWEEP "s:csv(\"rows.csv\")\r", false },
    { "while it prints", "\"left 5\"\rwhile true do print(1) end\r", false },
    { "at the prompt, hang-ups ignored", "\"left 6\"\r", true },
    { "in a block, hang-ups ignored", "\"left 7\"\rfor i = 1, 2 do\r", true },
    { "while it prints, hang-ups ignored", "\"left 8\"\rwhile true do print(1) end\r", true },
};

enum { N_LEAVINGS = sizeof leavings / sizeof *leavings };

static bool in_history(const char *text)
{
    FILE *in = fopen(history, "r");
    char line[256];
    bool found = false;

    while (in && !found && fgets(line, sizeof line, in))
        found = strstr(line, text) != NULL;
    if (in)
        fclose(in);
    return found;
}

/* *ms: from the hang-up to the shell's end. */
static bool goes_with_its_terminal(size_t i, long *ms)
{
    pty *p = &shells[0];
    char line[32];
    int status;
    bool begun;

    signal(SIGHUP, leavings[i].ignored ? SIG_IGN : SIG_DFL);    /* inherited */
    begun = begin(p, NULL);
    signal(SIGHUP, SIG_DFL);
    if (!begun)
        return false;
    pty_type(p, leavings[i].typed);
    snprintf(line, sizeof line, "left %zu\r\n", i);
    if (!pty_wait(p, line))
        return fault("%s: no answer", leavings[i].where);
    for (int quiet = 0; quiet < 3 && pty_read(p, 50); quiet++)
        continue;
    close(p->fd);
    p->fd = -1;
    *ms = pty_now_ms();
    status = pty_status(p);
    *ms = pty_now_ms() - *ms;
    if (status == -1) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        return fault("%s: it goes on without its terminal", leavings[i].where);
    }
    if (kill(-p->pid, 0) == 0)
        return fault("%s: it left a process behind", leavings[i].where);
    snprintf(line, sizeof line, "\"left %zu\"", i);
    return in_history(line) || fault("%s: the history lacks the line", leavings[i].where);
}

static bool leaves_with_its_terminal(void)
{
    bool fine = true;
    long longest = 0;

    for (size_t i = 0; i < N_LEAVINGS; i++) {
        long ms = 0;

        fine = goes_with_its_terminal(i, &ms) && fine;
        longest = ms > longest ? ms : longest;
    }
    unlink("rows.csv.part");            /* nobody can tidy up after a signal that kills */
    if (fine)
        printf("# terminals: %d that went away, each with its shell within %ld ms; the line typed "
               "before is in the history\n", (int)N_LEAVINGS, longest);
    return fine;
}

/* ---- all of it ------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    const char *build = getenv("BUILD");
    char at[PATH_MAX], command[64];

    is_long = argc == 2 && !strcmp(argv[1], "--long");
    sanitized = argc == 2 && !strcmp(argv[1], "--sanitized");
    snprintf(at, sizeof at, "%s/oomph", build ? build : "build");
    if (!realpath(at, binary) || !mkdtemp(home) || chdir(home) != 0) {
        fprintf(stderr, "life: no %s\n", at);
        return 2;
    }
    snprintf(home_is, sizeof home_is, "HOME=%s", home);
    snprintf(history, sizeof history, "%s/history", home);
    snprintf(history_is, sizeof history_is, "OOMPH_HISTORY=%s", history);
    verdict(history_is_whole(), "shells that share a history lose no line of it and tear none");
    verdict(leaves_with_its_terminal(), "a terminal that goes away takes its shell along");
    verdict(survives_interrupts(), "what runs can be interrupted at any time, and a sweep says how far it came");
    if (!sanitized)                     /* a sanitizer keeps what was freed */
        verdict(does_not_grow(), "a shell does not grow with what is typed");
    printf("1..%d\n", done);
    snprintf(command, sizeof command, "rm -rf %s", home);
    (void)!system(command);
    return failures > 0;
}
