/* utf8.h: one code point at a time from bytes that nobody has checked. */
#ifndef OOM_UTF8_H
#define OOM_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The code point at `s`, of which `n` bytes are left, at least one: its length in bytes, or 0 when
 * they are not UTF-8 (overlong forms, surrogates and values past U+10FFFF are not). */
static inline size_t utf8_next(const unsigned char *s, size_t n, uint32_t *code)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len;
    uint32_t c;

    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
        return 0;
    c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *code = c;
    return len;
}

#endif
