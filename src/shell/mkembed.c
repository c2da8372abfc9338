/* mkembed: a build tool. Prints the files named on its command line as one C table (embed.h),
 * sorted by name, each text as string literals, one a line, so that the table can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static _Noreturn void failed(const char *name)
{
    perror(name);
    exit(EXIT_FAILURE);
}

/* Prints one file as a literal and returns its bytes, or -1. */
static long print_literal(FILE *in)
{
    int c, previous = '\n';
    long bytes = 0;

    for (; (c = getc(in)) != EOF; previous = c, bytes++) {
        if (previous == '\n')
            printf("%s  \"", bytes ? "\\n\"\n" : "");
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c != '\n' && (c < ' ' || c > '~' || c == '?'))
            printf("\\%03o", (unsigned)c);      /* three digits: one may follow; ?: trigraphs */
        else if (c != '\n')
            putchar(c);
    }
    printf("%s%s", bytes ? "" : "  \"", previous == '\n' && bytes ? "\\n\"" : "\"");
    return ferror(in) ? -1 : bytes;
}

int main(int argc, char **argv)
{
    long *bytes = calloc((size_t)argc, sizeof *bytes);

    if (!bytes)
        failed("mkembed");
    qsort(argv + 1, (size_t)argc - 1, sizeof *argv, by_name);
    puts("#include \"embed.h\"\n");
    for (int i = 1; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");

        if (!in)
            failed(argv[i]);
        printf("static const char file_%d[] =\n", i);
        if ((bytes[i] = print_literal(in)) < 0)
            failed(argv[i]);
        puts(";\n");
        fclose(in);
    }
    puts("const embed_file embed_files[] = {");
    for (int i = 1; i < argc; i++) {
        unsigned records = 0;
        FILE *in = fopen(argv[i], "rb");
        char line[4096];

        if (!in)
            failed(argv[i]);
        while (!strncmp(argv[i], "presets/", 8) && fgets(line, sizeof line, in))
            for (char *at = line; (at = strstr(at, "\"id\":")) != NULL; at++)
                records++;
        fclose(in);
        printf("    { \"%s\", file_%d, %ld, %u },\n", argv[i], i, bytes[i], records);
    }
    printf("    { 0 }\n};\nconst size_t embed_count = %d;\n", argc - 1);
    free(bytes);
    if (fflush(stdout))
        failed("mkembed");
    return EXIT_SUCCESS;
}
