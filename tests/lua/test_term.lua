-- Display width, cutting, padding, cleaning. Widths of characters: Unicode 14, East Asian widths
-- and the general categories.

local term = require("oomph.term")

test("ASCII is one column a character", function()
    equal(term.width(""), 0)
    equal(term.width("llama-3.1-8b"), 12)
end)

test("Chinese, Korean and full-width characters are two columns", function()
    equal(term.width("模型"), 4)
    equal(term.width("한국"), 4)
    equal(term.width("Ａ"), 2)
    equal(term.width("ｱ"), 1, "half-width katakana")
end)

test("combining characters, joiners and Hangul finals are no column", function()
    equal(term.width("e\u{301}"), 1)
    equal(term.width("a\u{200d}b"), 2)
    equal(term.width("\u{1100}\u{1161}\u{11a8}"), 2, "one syllable in three letters")
    equal(term.width("\u{ad}"), 1, "a soft hyphen shows")
end)

test("emoji are two columns, the glyphs of charts one", function()
    equal(term.width("🦙"), 2)
    for _, glyph in utf8.codes("▁█▏▒┃╷┊│⣿●◇■✓✗»…·░▓┤└─┬") do
        equal(term.width(utf8.char(glyph)), 1, utf8.char(glyph))
    end
end)

test("escape sequences are no column", function()
    equal(term.width("\27[38;5;32mblue\27[0m"), 4)
    equal(term.width("\27]8;;http://example.org\7link\27]8;;\7"), 4)
end)

test("a byte that is no UTF-8 is one column", function()
    equal(term.width("a\xffb"), 3)
    equal(term.width("\xe6\xa8"), 2, "a character cut off")
    equal(term.width("\xc0\x80"), 2, "an overlong form")
end)

test("cutting counts columns and never splits a character", function()
    equal(term.cut("llama", 5), "llama")
    equal(term.cut("llama-3.1-8b", 6), "llama…")
    equal(term.cut("llama-3.1-8b", 6, ".."), "llam..")
    equal(term.cut("模型模型", 6), "模型…")
    equal(term.cut("模型模型", 5), "模型…")
    equal(term.cut("模型模型", 4), "模…")
    equal(term.cut("abc", 0), "")
    equal(term.cut("abc", 1, ".."), "a")
end)

test("cutting coloured text switches the colour off", function()
    equal(term.cut("\27[34mblue\27[0m", 3), "\27[34mbl…\27[0m")
end)

test("prose breaks between words, and a number stays with the word it counts", function()
    local text = "needs 134.8 GiB of 23.52 GiB\n  free: 模型 and more"
    equal(term.fold(text, 80), text)
    equal(term.fold(text, 16), "needs 134.8 GiB\n  of 23.52 GiB\n  free: 模型 and\n    more")
    equal(term.fold(text, 15), "needs 134.8 GiB\n  of 23.52 GiB\n  free: 模型\n    and more")
    equal(term.fold("gpu_memory_utilization", 10), "gpu_memory_utilization", "a word is whole")
    equal(term.fold("aaa  b", 5), "aaa\n  b")
    equal(term.fold("a  b  c  d", 8), "a  b  c\n  d", "blanks within a line stay")
end)

test("padding counts columns", function()
    equal(term.pad("模", 4), "模  ")
    equal(term.pad("模", 4, "right"), "  模")
    equal(term.pad("ab", 5, "centre"), " ab  ")
    equal(term.pad("long", 2), "long")
end)

test("cleaning shows control characters and broken bytes as numbers", function()
    equal(term.clean("a\nb\27[2J"), "a\\010b\\027[2J")
    equal(term.clean("\xff模"), "\\255模")
    equal(term.clean("\u{9b}2J"), "\\194\\1552J", "a C1 control")
    equal(term.clean("模é", true), "???")
end)

test("every valid code point has a width and nothing fails", function()
    for code = 0, 0x10ffff, 37 do
        if code < 0xd800 or code > 0xdfff then
            local wide = term.width(utf8.char(code))
            assert(wide >= 0 and wide <= 2)
        end
    end
end)

test("without a terminal charts are 80 columns wide and have no colour", function()
    local settings = term.settings()
    equal(settings.colour, "none")
    equal(settings.width, 80)
end)
